//! What a token says, once it is known who says it (RFC 7519, section 4).

use crate::refused::Refused;
use serde_json::{Map, Value};
use std::time::Duration;

/// The most that MQTT can carry as a string, in bytes.
const LONGEST_NAME: usize = u16::MAX as usize;

/// The claims of a token that a key has vouched for.
pub(crate) struct Claims(Map<String, Value>);

/// What is asked of every token.
pub(crate) struct Expected {
    /// By how much clocks may differ.
    pub(crate) leeway: Duration,
    /// Empty: any, or none.
    pub(crate) issuers: Vec<String>,
    /// Empty: none.
    pub(crate) audiences: Vec<String>,
    /// Claims that must be there.
    pub(crate) required: Vec<String>,
}

impl Claims {
    pub(crate) fn new(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    /// Whether the token is good now, and for how long. None: for ever.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(crate) fn check(
        &self,
        expected: &Expected,
        since_1970: Duration,
    ) -> Result<Option<Duration>, Refused> {
        if let Some(missing) = expected.required.iter().find(|claim| !self.0.contains_key(*claim)) {
            return Err(Refused::NoClaim(missing.clone()));
        }
        if self.time("nbf")?.is_some_and(|nbf| since_1970 + expected.leeway < nbf) {
            return Err(Refused::Early);
        }
        let left = |exp: Duration| exp.saturating_add(expected.leeway).saturating_sub(since_1970);
        let left = self.time("exp")?.map(left);
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Refused::Expired);
        }
        let named =
            |claim: &str, names: &[String]| self.names(claim).any(|name| names.iter().any(|own| own == name));
        if !expected.issuers.is_empty() && !named("iss", &expected.issuers) {
            return Err(Refused::Issuer);
        }
        // A token that names audiences is for nobody else (section 4.1.3).
        let for_some = self.0.contains_key("aud") || !expected.audiences.is_empty();
        if for_some && !named("aud", &expected.audiences) {
            return Err(Refused::Audience);
        }
        Ok(left)
    }

    /// A claim that names somebody, as MQTT can carry it.
    ///
    /// # Errors
    /// It is not there, or names nobody.
    pub(crate) fn name(&self, claim: &str) -> Result<&str, Refused> {
        let value = self.0.get(claim).ok_or_else(|| Refused::NoClaim(claim.into()))?;
        let sound = |name: &&str| !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains('\0');
        value.as_str().filter(sound).ok_or_else(|| Refused::Claim { claim: claim.into(), expected: "a name" })
    }

    /// A claim as an attribute: a text, a number, true or false.
    pub(crate) fn attribute(&self, claim: &str) -> Option<String> {
        match self.0.get(claim)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(whether) => Some(whether.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    pub(crate) fn claim(&self, claim: &str) -> Option<&Value> {
        self.0.get(claim)
    }

    /// A NumericDate: seconds since 1970, perhaps with a fraction. What no clock can say is the nearest that one can.
    fn time(&self, claim: &str) -> Result<Option<Duration>, Refused> {
        let wrong = || Refused::Claim { claim: claim.into(), expected: "a number of seconds since 1970" };
        let seconds = |value: &Value| value.as_f64().ok_or_else(wrong);
        let since_1970 =
            |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
        Ok(self.0.get(claim).map(seconds).transpose()?.map(since_1970))
    }

    /// A text, or each text of a list.
    fn names(&self, claim: &str) -> impl Iterator<Item = &str> {
        let value = self.0.get(claim);
        let one = value.and_then(Value::as_str);
        let several = value.and_then(Value::as_array).into_iter().flatten();
        one.into_iter().chain(several.filter_map(Value::as_str))
    }
}
