//! What one nanny knows of a server that comes and goes, for the one that follows it:
//! `STRIKES AGO`, in milliseconds, or `-` if it did not return or has fallen again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The most that is believed: the range of the keyword `dampen`.
const AGO_MAX: Duration = Duration::from_secs(30 * 86_400);

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flaps {
    /// How often in a row it fell too soon after it returned.
    pub strikes: u32,
    /// How long ago it returned, if it did and has not fallen since.
    pub returned: Option<Duration>,
}

impl Flaps {
    /// The same after some time.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self { returned: self.returned.map(|ago| ago.saturating_add(time).min(AGO_MAX)), ..self }
    }
}

impl fmt::Display for Flaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.returned {
            Some(ago) => write!(f, "{} {}", self.strikes, ago.as_millis()),
            None => write!(f, "{} -", self.strikes),
        }
    }
}

impl FromStr for Flaps {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (strikes, ago) = text.split_once(' ').ok_or(())?;
        let returned = if ago == "-" { None } else { Some(Duration::from_millis(ago.parse().map_err(drop)?)) };
        let strikes = strikes.parse().map_err(drop)?;
        Ok(Self { strikes, returned: returned.filter(|ago| *ago <= AGO_MAX) })
    }
}
