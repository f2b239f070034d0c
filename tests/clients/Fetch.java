import java.net.Socket;
import java.util.List;
import javax.net.ssl.SNIHostName;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.SSLSocketFactory;

/** Fetch.java HOST ADDRESS:PORT: a TLS handshake as HTTPS clients make it; prints `ok`, or why not. */
class Fetch {
    public static void main(String[] arguments) throws Exception {
        String host = arguments[0];
        String[] address = arguments[1].split(":");
        SSLSocketFactory factory = (SSLSocketFactory) SSLSocketFactory.getDefault();
        try (Socket plain = new Socket(address[0], Integer.parseInt(address[1]));
                SSLSocket tls = (SSLSocket) factory.createSocket(plain, host, plain.getPort(), true)) {
            SSLParameters parameters = tls.getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            parameters.setServerNames(List.of(new SNIHostName(host)));
            tls.setSSLParameters(parameters);
            tls.startHandshake();
            System.out.println("ok");
        } catch (SSLException e) {
            System.out.println("refused certificate: " + e);
        }
    }
}
