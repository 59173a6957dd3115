//! Which passwords may be chosen: long enough, not known to everybody, not what the account shows anyway. No demands on
//! digits or signs, as NIST SP 800-63B advises: they make passwords harder to remember, not to guess.

const MIN_CHARS: usize = 8;
const MAX_CHARS: usize = 128;
const MAX_BYTES: usize = 512;

/// The commonest passwords of eight characters or more, in lower case: the head of `10k-most-common.txt` in Daniel
/// Miessler's SecLists, which counts leaked ones, and the keyboard walks and their like of later lists.
/// Shorter ones are refused anyway.
const COMMONEST: [&str; 112] = [
    "password",
    "12345678",
    "baseball",
    "football",
    "jennifer",
    "superman",
    "trustno1",
    "michelle",
    "sunshine",
    "123456789",
    "starwars",
    "computer",
    "corvette",
    "princess",
    "iloveyou",
    "maverick",
    "samantha",
    "steelers",
    "whatever",
    "internet",
    "mercedes",
    "bigdaddy",
    "midnight",
    "marlboro",
    "11111111",
    "victoria",
    "startrek",
    "liverpool",
    "danielle",
    "redskins",
    "mountain",
    "metallica",
    "xxxxxxxx",
    "88888888",
    "nicholas",
    "qwertyui",
    "dolphins",
    "cocacola",
    "jonathan",
    "asdfasdf",
    "godzilla",
    "williams",
    "lifehack",
    "platinum",
    "garfield",
    "elephant",
    "explorer",
    "christin",
    "december",
    "benjamin",
    "brooklyn",
    "87654321",
    "guinness",
    "einstein",
    "snowball",
    "passw0rd",
    "slipknot",
    "kimberly",
    "1q2w3e4r",
    "carolina",
    "colorado",
    "creative",
    "asdfghjk",
    "poohbear",
    "nintendo",
    "november",
    "password1",
    "paradise",
    "spitfire",
    "drowssap",
    "1qaz2wsx",
    "babygirl",
    "security",
    "abcd1234",
    "wolverine",
    "remember",
    "stargate",
    "blink182",
    "passport",
    "aaaaaaaa",
    "bulldogs",
    "spiderman",
    "swordfish",
    "butterfly",
    "chocolate",
    "basketball",
    "welcome1",
    "changeme",
    "letmein1",
    "00000000",
    "1234567890",
    "0123456789",
    "0987654321",
    "987654321",
    "123123123",
    "12341234",
    "147258369",
    "qwertyuiop",
    "qwerty123",
    "asdfghjkl",
    "zxcvbnm1",
    "1q2w3e4r5t",
    "1qazxsw2",
    "zaq12wsx",
    "q1w2e3r4",
    "abc12345",
    "aa123456",
    "admin123",
    "p@ssw0rd",
    "password123",
    "contraseña",
    "contrasena",
];

/// Whether the password may be chosen by somebody of this e-mail address and name. Letters of both cases count as the
/// same.
///
/// # Errors
/// What is wrong with it, for who chose it.
pub(crate) fn check_password(password: &str, email: &str, name: &str) -> Result<(), &'static str> {
    // First, so that nothing walks through a huge text.
    if password.len() > MAX_BYTES {
        return Err("must have at most 512 bytes");
    }
    if !(MIN_CHARS..=MAX_CHARS).contains(&password.chars().count()) {
        return Err("must have 8 to 128 characters");
    }
    if password.trim().is_empty() {
        return Err("must not be blank");
    }
    if same_letters(password, email.trim()) || same_letters(password, name.trim()) {
        return Err("must not be the name or the e-mail address");
    }
    if COMMONEST.iter().any(|common| same_letters(password, common)) {
        return Err("is one of the commonest passwords");
    }
    Ok(())
}

/// Compared letter by letter: a copy in lower case would stay behind in memory.
fn same_letters(one: &str, other: &str) -> bool {
    one.chars().flat_map(char::to_lowercase).eq(other.chars().flat_map(char::to_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_long_enough_and_not_too_long() {
        for (password, expected) in [
            ("tr0ub4do", None),
            ("ñandúñan", None),
            ("🐎🔋📎🐎🔋📎🐎🔋", None),
            ("1234567", Some("must have 8 to 128 characters")),
            ("", Some("must have 8 to 128 characters")),
            ("        ", Some("must not be blank")),
            ("\u{3000}\t      \n", Some("must not be blank")),
            (&"x1".repeat(64), None),
            (&"x1".repeat(65), Some("must have 8 to 128 characters")),
            (&"🐎".repeat(128), None),
            (&"🐎".repeat(129), Some("must have at most 512 bytes")),
        ] {
            assert_eq!(check_password(password, "", "").err(), expected, "{password}");
        }
    }

    #[test]
    fn what_everybody_knows_is_refused() {
        let check = |password| check_password(password, "Ana.Gomez@example.com", " Ángela Gómez ").err();
        let known = Some("must not be the name or the e-mail address");
        let common = Some("is one of the commonest passwords");
        assert_eq!(check("ana.gomez@EXAMPLE.com"), known);
        assert_eq!(check("ÁNGELA GÓMEZ"), known);
        assert_eq!(check("PassWord1"), common);
        assert_eq!(check("CONTRASEÑA"), common);
        assert_eq!(check("ana.gomez@example.com!"), None);
    }

    #[test]
    fn the_list_is_as_the_comparison_needs_it() {
        for (index, common) in COMMONEST.iter().enumerate() {
            assert_eq!(*common, common.to_lowercase());
            assert!(common.chars().count() >= MIN_CHARS, "{common} is refused anyway");
            assert!(!COMMONEST[..index].contains(common), "{common} stands there twice");
        }
    }
}
