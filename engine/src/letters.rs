//! The letters that users get: what they say, in the user's language, with the token that they carry.

use relampago_actors::user::{Mail, Purpose};
use relampago_actors::{Id, Millis};
use relampago_gateways::Letter;
use relampago_keys::{Keys, MailedToken, Unreadable};

/// Languages that letters are written in, by the number that users have of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    English,
    Spanish,
}

impl Language {
    fn of(number: u8) -> Self {
        if number == 1 { Self::Spanish } else { Self::English }
    }
}

/// Writes the letter that a user is owed. `link` is the storefront's page that takes tokens.
///
/// # Errors
/// If the user's personal data cannot be read, such as after its key was destroyed: then nobody is to get it.
pub(crate) fn write(mail: &Mail, link: Option<&str>, keys: &Keys) -> Result<Letter, Unreadable> {
    let to = keys.reveal(&mail.to)?;
    let name = keys.reveal(&mail.name)?;
    let language = Language::of(mail.locale);
    let token = MailedToken {
        purpose: mail.purpose as u8,
        user: mail.user,
        epoch: mail.token.epoch,
        claim: mail.token.claim,
        expires_at: mail.token.expires_at,
    };
    let secret = keys.sign_mailed(&token);
    let secret = link.map_or_else(|| secret.clone(), |link| format!("{link}{secret}"));
    let (subject, text) = words(mail.purpose, language);
    let until = deadline(mail.token.expires_at, language);
    let body = match mail.purpose {
        Purpose::Notice => format!("{}\n\n{text}\n", greeting(&name, language)),
        Purpose::Reset | Purpose::Verify => {
            format!("{}\n\n{text}\n\n{secret}\n\n{until}\n", greeting(&name, language))
        }
    };
    Ok(Letter {
        id: Id::derived("letter", &[&mail.user.0.to_be_bytes(), &mail.number.to_be_bytes()]),
        to: to.to_string(),
        subject: subject.to_owned(),
        body,
    })
}

fn greeting(name: &str, language: Language) -> String {
    match language {
        Language::English => format!("Hello {name},"),
        Language::Spanish => format!("Hola, {name}:"),
    }
}

fn words(purpose: Purpose, language: Language) -> (&'static str, &'static str) {
    match (purpose, language) {
        (Purpose::Reset, Language::English) => (
            "Choose a new password",
            "With this token you can choose a password. If you did not ask for it, nothing has to be done.",
        ),
        (Purpose::Reset, Language::Spanish) => (
            "Elija una contraseña nueva",
            "Con este código puede elegir una contraseña. Si no lo ha pedido, no tiene que hacer nada.",
        ),
        (Purpose::Verify, Language::English) => {
            ("Confirm your e-mail address", "With this token you confirm that this address is yours.")
        }
        (Purpose::Verify, Language::Spanish) => {
            ("Confirme su dirección de correo", "Con este código confirma que esta dirección es suya.")
        }
        (Purpose::Notice, Language::English) => (
            "Your e-mail address was changed",
            "Your account has another e-mail address now. If that was not you, tell the shop at once.",
        ),
        (Purpose::Notice, Language::Spanish) => (
            "Su dirección de correo ha cambiado",
            "Su cuenta tiene ahora otra dirección de correo. Si no ha sido usted, avise a la tienda enseguida.",
        ),
    }
}

fn deadline(expires_at: Millis, language: Language) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(expires_at);
    let at = humantime::format_rfc3339_seconds(at);
    match language {
        Language::English => format!("It is good until {at}."),
        Language::Spanish => format!("Vale hasta {at}."),
    }
}
