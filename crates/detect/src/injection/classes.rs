//! Classes of words: the structure of an instruction, whatever the language. Who is spoken to, what is to be set aside,
//! what is to be kept quiet, where things are to go.
//!
//! A word's class is a hint for the classifier, never a verdict.

use std::sync::LazyLock;

use super::features::{EMPTY, step};

/// One bit for each class.
pub(super) struct Class;

impl Class {
    pub(super) const NONE: u32 = 0;
    /// Digits alone.
    pub(super) const NUMBER: u32 = 1 << 27;
    /// A word with a capital within a sentence.
    pub(super) const NAME: u32 = 1 << 28;
    pub(super) const TARGET: u32 = 1 << 29;
    pub(super) const SHOUT: u32 = 1 << 30;
    /// A word of `ORDERS` that begins its sentence.
    pub(super) const ORDER: u32 = 1 << 31;
    /// Setting aside, sending out, telling, doing on the machine, acting for a person.
    pub(super) const ORDERS: u32 = 1 | 1 << 6 | 1 << 9 | 1 << 12 | 1 << 13;
}

/// The table of classes; the place in it is the class's bit. Words in lower case.
const CLASSES: &[&str] = &[
    // to set aside
    "ignore ignoring disregard forget forgetting override overrule bypass discard neglect skip supersede overwrite \
     ignoriere ignorieren vergiss vergessen missachte umgehe überschreibe ignorez ignorer oubliez oublie oublier négligez \
     contourner ignora ignorar ignoren olvida olvide olvidar omite omitir desestima descarta ignori dimentica dimenticate \
     trascura esqueça esquecer desconsidere desconsiderar negeer vergeet zignoruj zapomnij pomiń игнорируй игнорируйте \
     игнорировать забудь забудьте забыть abaikan lupakan 忽略 忽视 无视 忘记 忘掉 無視 忘れ 무시 무시하고 잊어 잊어버려 unut \
     görmezden تجاهل انس अनदेखा भूल नजरअंदाज bỏ quên উপেক্ষা ভুলে balewalain kalimutan pansinin",
    // what came before
    "previous prior above earlier preceding foregoing past initial original existing old former all everything any \
     vorherigen vorherige bisherigen obigen alle alles précédentes précédents précédente antérieures toutes tous tout \
     anteriores anterior previas previos todas todo todos precedenti precedente tutte tutto anteriores vorige eerdere \
     poprzednie wcześniejsze wszystkie предыдущие предыдущих все всё прежние sebelumnya semua 之前 以前 以上 先前 所有 前の \
     이전 모든 앞의 önceki tüm السابقة جميع पिछले सभी trước",
    // rules
    "instructions instruction rules rule directive directives guidelines guideline prompt prompts commands policy policies \
     restrictions restriction safeguards safety constraints limitations filters filter guardrails programming training \
     moderation censorship anweisungen anweisung instruktionen regeln richtlinien vorgaben instrucciones reglas órdenes \
     indicaciones directrices consignes instructions règles directives istruzioni regole direttive instruções regras \
     diretrizes instructies regels instrukcje zasady polecenia инструкции инструкций правила указания instruksi aturan \
     perintah 指令 指示 规则 提示 命令 プロンプ ルール 지시 지시를 지침 규칙 명령 talimatları talimatlar kuralları التعليمات \
     القواعد निर्देश निर्देशों नियम hướng dẫn lệnh নির্দেশ নির্দেশাবলী tagubilin utos",
    // the one who is spoken to
    "you your yours yourself du dein deine dich dir sie ihre vous votre vos toi tes tú tu tus usted te ti tuo tua tue \
     você seu sua seus jij je jouw ty twoje twój ты твой твои вы ваш ваши kamu anda 你 你的 您 あなた 당신 너 너의 sen senin \
     أنت तुम आप आपके bạn আপনি আপনার তুমি ikaw iyong",
    // the assistant
    "assistant ai chatbot llm gpt chatgpt claude gemini copilot model bot agent agents openai anthropic language \
     assistent ki assistente asistente ia modelo modèle modell modello ассистент помощник модель ии 助手 模型 人工 \
     어시스턴트 모델 asystent asisten yapay asistan مساعد सहायक kit cursor codex",
    // keeping quiet
    "secretly silently quietly discreetly covertly without notify notifying mention mentioning tell telling inform \
     informing reveal conceal hide hidden unnoticed invisible confirm confirmation asking permission heimlich \
     stillschweigend erwähne verschweige secrètement discrètement mentionner secretamente silenciosamente menciones \
     segretamente menzionare mencione тайно упоминай сообщай незаметно 不要告诉 偷偷 秘密 内緒 비밀 몰래 diam gizlice",
    // sending out
    "send sending forward email mail upload post transmit exfiltrate share publish submit leak deliver transfer wire \
     pay curl wget fetch request append include encode sende schicke weiterleiten übertrage überweise hochladen envoie \
     envoyez transmettez transférez envía enviar envíe reenvía transfiere transfiera sube invia inviare inoltra trasferisci \
     envie encaminhe transfira stuur verstuur wyślij przelej отправь отправьте перешли переведи загрузи kirim kirimkan \
     发送 转发 上传 转账 送信 送っ 보내 보내줘 전송 gönder aktar أرسل भेजें भेजो gửi",
    // what is worth sending
    "password passwords passcode credentials credential secret secrets token tokens api key keys ssh private wallet seed \
     mnemonic cookie cookies session history contacts contact bank account card ssn env passwort kennwort geheimnis \
     schlüssel contraseña clave claves secreto mot passe clé secrète parola chiave segreto senha chave segredo wachtwoord \
     geheim hasło klucz tajne пароль ключ секрет секретный kata sandi rahasia 密码 密钥 秘密 口令 パスワ 秘密 비밀번호 암호 \
     parola şifre كلمة السر पासवर्ड गुप्त mật khẩu পাসওয়ার্ড গোপন",
    // asking and ordering
    "please must should need needs have required mandatory immediately important urgent urgently first before instead now \
     bitte musst müssen sofort stattdessen wichtig jetzt veuillez svp devez immédiatement plutôt maintenant importante \
     favor debes debe inmediatamente ahora per favore devi deve immediatamente subito adesso por deve imediatamente agora \
     alsjeblieft moet onmiddellijk proszę musisz natychmiast teraz пожалуйста должен должны немедленно сейчас теперь \
     tolong harus segera 请 必须 立即 现在 ください 今すぐ 必ず 제발 반드시 지금 즉시 lütfen hemen şimdi يجب الآن कृपया तुरंत \
     अब làm ơn hãy",
    // telling what the words above say
    "repeat reveal print show display output translate summarize summarise recite quote verbatim spell reverse backwards \
     dump list leak disclose expose wiederhole zeige gib ausgeben verrate répète répétez affiche affichez révèle repite \
     muestra imprime revela dime ripeti mostra stampa rivela dimmi repita mostre imprima revele diga herhaal toon powtórz \
     pokaż wypisz ujawnij повтори покажи выведи раскрой скажи ulangi tampilkan ungkapkan 重复 显示 输出 打印 告诉 繰り返 \
     表示 教えて 반복 보여줘 출력 알려줘 tekrarla göster söyle أظهر اكشف बताओ बताएं दिखाओ",
    // playing someone
    "pretend act roleplay role play simulate simulation imagine character persona persona hypothetical fictional story \
     novel actor scenario developer mode sudo dan jailbreak jailbroken unfiltered uncensored unrestricted unlimited evil \
     amoral unethical immoral stan dude aim rolle spiele tue vorgeben stell rôle joue fais actúa finge simula interpreta \
     personaje recita fingi personaggio finja atue personagem doe alsof udawaj rolę представь притворись роль играй \
     berpura 假装 扮演 角色 想象 ふり 演じ 役割 역할 연기 가정 rol 越狱",
    // refusing
    "refuse refusing cannot can't sorry apologize apologise apologies warning warnings disclaimer disclaimers ethical \
     ethics moral morality illegal legality harmful inappropriate unable against comply refusal reject decline \
     judgement judgment allowed permitted forbidden prohibited consequences",
    // doing on the machine
    "run execute exec install delete remove rm sudo bash shell command script terminal download eval chmod drop wipe \
     erase invoke call tool function open click navigate visit commit push merge deploy führe ausführen lösche exécute \
     exécutez supprime ejecuta ejecutar borra elimina esegui cancella execute apague voer uit verwijder uruchom usuń \
     выполни запусти удали jalankan hapus 执行 运行 删除 安装 実行 削除 실행 삭제 çalıştır sil",
    // acting for a person
    "grant book order buy purchase schedule cancel unlock enable disable add create update change set unsubscribe \
     subscribe reply respond reserve invite approve accept follow connect register retrieve find search check access \
     give allow authorize provide donate sell withdraw deposit redirect disarm turn start stop record refill invest remit \
     tweet message dm rename move copy archive mark upgrade downgrade settle assign activate deactivate revoke block \
     unblock promote rate recommend review contact text notify close lock arm adjust increase decrease lower raise \
     reschedule confirm submit sign look get make put use ask answer say write visit read check reset update launch \
     terminate expose attach enrol enroll vote star scan play stream queue fill complete hire fire reject shortlist cite \
     quote omit export sync",
    // what is done for a person
    "door doors house home garage thermostat light lights lamp camera alarm oven blinds vacuum heater car appointment surgery \
     prescription dose records insurance doctor pharmacy payment payments invoice bill balance transaction transactions \
     transfer loan stocks portfolio savings funds payee iban dollars euros usd eur subscription membership profile \
     timeline tweet channel group followers friend friends review reviews rating cart shipping delivery refund flight \
     flights hotel room ticket reservation booking trip passport itinerary calendar meeting event events reminder inbox \
     e-mail emails mails playlist song album salary grade candidate applicant contract newsletter petition survey \
     termin überweisung rechnung rendez-vous virement facture cita factura transferencia appuntamento bonifico fattura \
     日程 预约 账单 会议 約束 予約 예약 일정",
    // mine and me
    "my me i mine our us we mein meine mir mich mon ma mes moi mi mis mío mio mia miei meu minha meus mijn mój moje мой \
     моя мне меня saya 我 我的 私 나 내 benim bana मेरे मुझे tôi",
    // the user, as a third one
    "user users human owner customer recipient victim benutzer nutzer utilisateur usuario usuarios utente usuário \
     gebruiker użytkownik пользователь пользователю пользователя pengguna 用户 ユーザ 사용자 kullanıcı",
    // system and speaker marks
    "system sys developer admin administrator root inst im_start im_end endoftext information message notice begin end \
     context override debug maintenance",
    // not
    "don dont doesn not never no none nobody nothing neither nor without avoid refrain nicht nie kein keine keinen nichts \
     ohne niemand ne pas jamais rien aucun sans personne nunca ningún sin nada nadie non mai niente nessuno senza não nunca \
     nenhum sem ninguém niet nooit geen niets zonder niemand nie żaden bez nikt не никогда ничего без никому 不 不要 别 没 \
     没有 不能 ない ないで しない 않 말고 마세요 없이 değil yok sakın jangan tidak tanpa لا بدون नहीं मत बिना đừng không inte \
     aldrig ne nikdy nu niciodată μην δεν نه بدون ne soha",
    // one after the other
    "then next afterwards after once when whenever before until while finally lastly later begin beginning step dann danach \
     anschließend sobald bevor wenn zuerst zunächst puis ensuite après avant quand lorsque dès d'abord luego después cuando \
     antes primero entonces poi dopo prima quando appena depois então primeiro daarna dan voordat wanneer eerst potem gdy \
     zanim najpierw затем потом после когда прежде сначала 然后 之后 首先 先 再 第一 接着 次に まず その後 먼저 다음 후에 전에 \
     sonra önce lalu kemudian setelah ثم بعد قبل أولا फिर पहले बाद rồi sau",
    // time and hurry
    "today tonight tomorrow monday tuesday wednesday thursday friday saturday sunday january february march april june july \
     august september october november december week month day year hour minute noon midnight morning evening soon asap \
     deadline emergency hurry quick quickly heute morgen montag freitag aujourd'hui demain lundi vendredi hoy mañana lunes \
     viernes oggi domani lunedì venerdì hoje amanhã segunda sexta vandaag maandag vrijdag dziś jutro сегодня завтра пятницы \
     срочно 今天 明天 周五 今日 明日 오늘 내일 bugün yarın besok اليوم غدا आज",
    // letters, languages, forms to put a text in
    "letter letters word words character characters vowel vowels spelling spelled rhyme rhymes poem riddle acrostic limerick \
     haiku song hint hints clue clues guess hangman morse base64 rot13 hex binary encode encoded decode cipher leetspeak \
     emoji emojis pig latin translate translation french spanish german alphabet syllable synonym anagram crossword python \
     json markdown quote verbatim sentence phrase paragraph line lines wort wörter buchstabe buchstaben gedicht rätsel mot \
     mots lettre lettres poème palabra palabras letra letras poema parola parole lettera poesia palavra woord слово слова \
     букв буквам стихотворение 字 词 诗 翻译 言葉 文字 詩 단어 글자 시 kelime kata huruf كلمة शब्द अक्षर",
    // people, offices
    "friend boss brother sister mother father mom dad wife husband son daughter uncle aunt grandmother grandma grandfather \
     colleague manager owner employee customer client lawyer doctor landlord police officer bank ceo engineer creator maker \
     makers developers operator operators auditor king queen wizard guard everyone everybody anyone nobody whoever team \
     company office chef freund mutter vater großmutter entwickler patron ami mère développeur jefe amigo madre dueño \
     capo amico chefe amigo dono baas vriend szef друг мама босс разработчик 老板 朋友 开发者 管理员 社長 友達 管理者 사장 \
     친구 관리자 patron arkadaş bos teman",
    // things that hold words
    "answer answers reply replies response responses message messages mail email summary conversation chat text question \
     questions request page document file files folder note notes report website link url table list code comment memory \
     output result results antwort nachricht frage datei seite text réponse message question fichier page respuesta mensaje \
     pregunta archivo página risposta messaggio domanda resposta mensagem pergunta arquivo antwoord bericht vraag bestand \
     odpowiedź wiadomość plik ответ сообщение вопрос файл текст письма 回答 消息 问题 文件 邮件 内容 答え メール 質問 답 메시지 \
     질문 파일 cevap mesaj dosya jawaban pesan berkas رسالة سؤال ملف जवाब संदेश",
];

/// An open-addressed table from a word's hash to its classes.
struct Table {
    rows: Vec<(u64, u32)>,
}

const PLACES: usize = 8192;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table { rows: vec![(0, 0); PLACES] };
    for (class, words) in CLASSES.iter().enumerate() {
        for word in words.split_whitespace() {
            table.insert(hash_of(word), 1 << class);
        }
    }
    table
});

impl Table {
    fn insert(&mut self, hash: u64, class: u32) {
        let mut place = place(hash);
        while let Some(row) = self.rows.get_mut(place) {
            if row.0 == 0 || row.0 == hash {
                *row = (hash, row.1 | class);
                return;
            }
            place = (place + 1) % PLACES;
        }
    }

    #[inline]
    fn classes(&self, hash: u64) -> u32 {
        let mut place = place(hash);
        while let Some((held, classes)) = self.rows.get(place) {
            if *held == hash {
                return *classes;
            }
            if *held == 0 {
                return Class::NONE;
            }
            place = (place + 1) % PLACES;
        }
        Class::NONE
    }
}

fn place(hash: u64) -> usize {
    (hash ^ (hash >> 31)) as usize % PLACES
}

fn hash_of(word: &str) -> u64 {
    word.chars().fold(EMPTY, |hash, character| step(hash, u32::from(character)))
}

/// The classes of the word with this hash.
#[inline]
pub(super) fn of(word: u64) -> u32 {
    TABLE.classes(word)
}

/// The classes of the word that an ideograph makes with the one before it, whose hash is `before`.
pub(super) fn of_pair(before: u64, character: char) -> u32 {
    TABLE.classes(step(before, u32::from(character)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_several_languages_have_one_class() {
        let aside = of(hash_of("ignore"));
        for word in ["ignoriere", "oubliez", "忽略", "забудь", "무시"] {
            assert_eq!(of(hash_of(word)) & aside, aside, "{word}");
        }
        assert_eq!(of(hash_of("tractor")), Class::NONE);
    }

    #[test]
    fn an_ideograph_and_the_one_before_make_a_word() {
        assert_ne!(of_pair(hash_of("忽"), '略'), Class::NONE);
        assert_eq!(of_pair(hash_of("略"), '忽'), Class::NONE);
    }

    #[test]
    fn the_table_is_less_than_half_full_and_its_classes_fit_their_bits() {
        assert!(TABLE.rows.iter().filter(|row| row.0 != 0).count() < PLACES / 2);
        assert!(CLASSES.len() <= 27);
    }
}
