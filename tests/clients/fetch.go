// Asks a server for its certificate as Go's verifier sees it: `fetch ROOT HOST ADDRESS` prints `accepted`, or `refused`
// and why.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

func main() {
	root, host, address := os.Args[1], os.Args[2], os.Args[3]
	pem, err := os.ReadFile(root)
	if err != nil {
		fmt.Println("no root:", err)
		os.Exit(2)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	connection, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: host})
	if err != nil {
		fmt.Println("refused:", err)
		return
	}
	connection.Close()
	fmt.Println("accepted")
}
