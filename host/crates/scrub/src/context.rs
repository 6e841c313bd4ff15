//! Where in a text a short value may be found. Under eight characters it can be a number, a word of
//! JSON or a field's name; replaced there it would leave something that no program can read.

/// More levels of JSON than that are not told apart.
const MAX_NESTING: usize = 128;

/// What a text is.
#[derive(Default)]
pub(super) enum Context {
    /// Plain text: a short value may be anywhere.
    #[default]
    Text,
    /// A key or a number of JSON: it may be nowhere.
    Name,
    /// JSON, or events that carry it: in texts that are no keys.
    Json(Walk),
}

/// How far JSON was read, and what stands there.
#[derive(Clone, Default)]
pub(super) struct Walk {
    at: usize,
    /// For each level, whether it is an object.
    levels: Vec<bool>,
    in_string: bool,
    is_escaped: bool,
    is_key: bool,
    key_is_next: bool,
}

impl Context {
    /// Whether a short value may be found at `at`, to which the text is read.
    pub(super) fn allows(&mut self, text: &[u8], at: usize) -> bool {
        match self {
            Self::Text => true,
            Self::Name => false,
            Self::Json(walk) => {
                walk.to(text, at);
                walk.in_string && !walk.is_key
            }
        }
    }

    /// Whether what is at `at`, to which the text is read, is a number of JSON. In its place a text
    /// has to stand, or no program can read the rest.
    pub(super) fn is_number(&mut self, text: &[u8], at: usize) -> bool {
        match self {
            Self::Text | Self::Name => false,
            Self::Json(walk) => {
                walk.to(text, at);
                let is_of_number = |byte: &u8| byte.is_ascii_digit() || b"+-.".contains(byte);
                !walk.in_string && text.get(at).is_some_and(is_of_number)
            }
        }
    }

    /// For the next part of the text, when this part is settled up to `settled`. `start` is how it
    /// was at the part's beginning.
    pub(super) fn settle(&mut self, start: Option<Walk>, text: &[u8], settled: usize) {
        if let (Self::Json(walk), Some(start)) = (self, start) {
            *walk = start;
            walk.to(text, settled);
            walk.at = 0;
        }
    }

    pub(super) fn walk(&self) -> Option<Walk> {
        match self {
            Self::Json(walk) => Some(walk.clone()),
            Self::Text | Self::Name => None,
        }
    }
}

impl Walk {
    fn to(&mut self, text: &[u8], at: usize) {
        for &byte in text.get(self.at..at).unwrap_or_default() {
            self.take(byte);
        }
        self.at = self.at.max(at);
    }

    fn take(&mut self, byte: u8) {
        match byte {
            // No string of JSON has a line break; the next event begins anew.
            b'\n' | b'\r' => (self.in_string, self.is_escaped) = (false, false),
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' => self.is_escaped = self.in_string,
            b'"' if self.in_string => self.in_string = false,
            _ if self.in_string => {}
            b'"' => (self.in_string, self.is_key) = (true, self.key_is_next),
            b'{' | b'[' => {
                self.key_is_next = byte == b'{';
                if self.levels.len() < MAX_NESTING {
                    self.levels.push(self.key_is_next);
                }
            }
            b'}' | b']' => {
                self.levels.pop();
                self.key_is_next = false;
            }
            b',' => self.key_is_next = self.levels.last() == Some(&true),
            b':' => self.key_is_next = false,
            _ => {}
        }
    }
}
