//! `fields`: headers.

use super::{Wasi, Weight, types};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use types::HeaderError;
use wasmtime::component::Resource;

/// Lines that one set of headers may have.
const MOST_LINES: usize = 256;

/// What a line takes up beside its text.
const LINE: usize = 64;

/// Ours to say: they are about the connection, or name another host than the one that was checked.
const FORBIDDEN: [HeaderName; 9] = [
    header::CONNECTION,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Headers of a request or an answer.
pub struct Fields {
    lines: HeaderMap,
    weight: Weight,
    immutable: bool,
}

/// It holds too much already.
struct Full;

impl Fields {
    pub(super) fn new(weight: Weight) -> Self {
        Self { lines: HeaderMap::new(), weight, immutable: false }
    }

    /// The same, which nobody changes.
    pub(super) fn frozen(mut self) -> Self {
        self.immutable = true;
        self
    }

    /// Lines that are names and values for sure.
    pub(super) fn of(lines: &[(String, String)], weight: Weight) -> wasmtime::Result<Self> {
        let mut fields = Self::new(weight);
        for (name, value) in lines {
            let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
                continue;
            };
            fields.add(name, value).map_err(too_much)?;
        }
        Ok(fields)
    }

    /// Names and values, in their order.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.lines.iter()
    }

    pub(super) fn copied(&self) -> wasmtime::Result<Self> {
        let mut copy = Self::new(self.weight.anew());
        for (name, value) in &self.lines {
            copy.add(name.clone(), value.clone()).map_err(too_much)?;
        }
        Ok(copy)
    }

    fn add(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), Full> {
        if self.lines.len() >= MOST_LINES || !self.weight.add(name.as_str().len() + value.len() + LINE) {
            return Err(Full);
        }
        self.lines.try_append(name, value).map(|_| ()).map_err(|_| Full)
    }

    fn append(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        let name = self.changeable(name)?;
        // Ours are texts all the way, where HTTP has bytes.
        let value = std::str::from_utf8(value).ok().and_then(|value| HeaderValue::from_str(value).ok());
        self.add(name, value.ok_or(HeaderError::InvalidSyntax)?).map_err(|Full| HeaderError::Forbidden)
    }

    fn delete(&mut self, name: &str) -> Result<(), HeaderError> {
        let name = self.changeable(name)?;
        if let header::Entry::Occupied(entry) = self.lines.entry(&name) {
            let (name, values) = entry.remove_entry_mult();
            let weight: usize = values.map(|value| name.as_str().len() + value.len() + LINE).sum();
            self.weight.subtract(weight);
        }
        Ok(())
    }

    /// `name`, if a guest may change that line.
    fn changeable(&self, name: &str) -> Result<HeaderName, HeaderError> {
        if self.immutable {
            return Err(HeaderError::Immutable);
        }
        let name = HeaderName::try_from(name).map_err(|_| HeaderError::InvalidSyntax)?;
        if FORBIDDEN.contains(&name) {
            return Err(HeaderError::Forbidden);
        }
        Ok(name)
    }
}

fn too_much(_: Full) -> wasmtime::Error {
    wasmtime::format_err!("its requests and answers hold too much of the broker's memory")
}

impl types::HostFields for Wasi {
    fn new(&mut self) -> wasmtime::Result<Resource<Fields>> {
        self.lend(Fields::new(self.exchanges.scale.nothing()))
    }

    fn from_list(
        &mut self,
        entries: Vec<(String, Vec<u8>)>,
    ) -> wasmtime::Result<Result<Resource<Fields>, HeaderError>> {
        let mut fields = Fields::new(self.exchanges.scale.nothing());
        for (name, value) in entries {
            if let Err(error) = fields.append(&name, &value) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(self.lend(fields)?))
    }

    fn get(&mut self, fields: Resource<Fields>, name: String) -> wasmtime::Result<Vec<Vec<u8>>> {
        let fields = self.resources.get(&fields)?;
        Ok(fields.lines.get_all(name).iter().map(|value| value.as_bytes().to_vec()).collect())
    }

    fn has(&mut self, fields: Resource<Fields>, name: String) -> wasmtime::Result<bool> {
        Ok(self.resources.get(&fields)?.lines.contains_key(name))
    }

    fn set(
        &mut self,
        fields: Resource<Fields>,
        name: String,
        values: Vec<Vec<u8>>,
    ) -> wasmtime::Result<Result<(), HeaderError>> {
        let fields = self.resources.get_mut(&fields)?;
        let set = fields.delete(&name);
        Ok(set.and_then(|()| values.iter().try_for_each(|value| fields.append(&name, value))))
    }

    fn delete(
        &mut self,
        fields: Resource<Fields>,
        name: String,
    ) -> wasmtime::Result<Result<(), HeaderError>> {
        Ok(self.resources.get_mut(&fields)?.delete(&name))
    }

    fn append(
        &mut self,
        fields: Resource<Fields>,
        name: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), HeaderError>> {
        Ok(self.resources.get_mut(&fields)?.append(&name, &value))
    }

    fn entries(&mut self, fields: Resource<Fields>) -> wasmtime::Result<Vec<(String, Vec<u8>)>> {
        let lines = self.resources.get(&fields)?.lines();
        Ok(lines.map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect())
    }

    fn clone(&mut self, fields: Resource<Fields>) -> wasmtime::Result<Resource<Fields>> {
        let copy = self.resources.get(&fields)?.copied()?;
        self.lend(copy)
    }

    fn drop(&mut self, fields: Resource<Fields>) -> wasmtime::Result<()> {
        self.resources.delete(fields)?;
        Ok(())
    }
}
