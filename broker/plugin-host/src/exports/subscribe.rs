//! `tidegate:plugin/subscribe`

use super::{broken, each, properties, qos, refusing};
use crate::wire;
use tidegate_hooks::{FaultKind, SubscribeChange, SubscribeRequest, SubscribeVerdict};
use tidegate_mqtt::{PacketType, SubscriptionFilter};

/// Properties of the SUBSCRIBE, which is one for all its filters.
pub(crate) fn properties<'a>(requests: &'a [SubscribeRequest<'a>]) -> Vec<wire::Property<'a>> {
    requests.first().map(|request| properties::of_subscribe(request.properties)).unwrap_or_default()
}

/// The questions, without a copy.
pub(crate) fn questions<'a>(
    requests: &'a [SubscribeRequest<'a>],
    properties: &'a [wire::Property<'a>],
) -> Vec<wire::SubscribeRequest<'a>> {
    let question = |request: &'a SubscribeRequest<'a>| wire::SubscribeRequest {
        session: request.session.0,
        client_id: request.client_id,
        username: request.username,
        filter: request.filter,
        qos: request.qos as u8,
        no_local: request.options.no_local,
        retain_as_published: request.options.retain_as_published,
        retain_handling: request.options.retain_handling as u8,
        properties,
    };
    requests.iter().map(question).collect()
}

/// One answer for each question.
pub(crate) fn answers(
    verdicts: Vec<wire::SubscribeVerdict>,
    requests: &[SubscribeRequest<'_>],
) -> Result<Vec<SubscribeVerdict>, FaultKind> {
    each(verdicts, requests.len(), |at, verdict| match requests.get(at) {
        Some(request) => answer(verdict, request),
        None => Err(broken("verdict", "nothing was asked")),
    })
}

fn answer(
    verdict: wire::SubscribeVerdict,
    request: &SubscribeRequest<'_>,
) -> Result<SubscribeVerdict, FaultKind> {
    Ok(match verdict {
        wire::SubscribeVerdict::Next => SubscribeVerdict::Next,
        wire::SubscribeVerdict::Accept => SubscribeVerdict::Accept,
        wire::SubscribeVerdict::Refuse(code) => {
            SubscribeVerdict::Refuse(refusing("refuse", code, &[PacketType::SubAck])?)
        }
        wire::SubscribeVerdict::Edit(change) => SubscribeVerdict::Edit(changed(change, request)?),
    })
}

fn changed(
    change: wire::SubscribeChange,
    request: &SubscribeRequest<'_>,
) -> Result<SubscribeChange, FaultKind> {
    let filter = |text: String| {
        let filter = SubscriptionFilter::new(&text).map_err(|why| broken("edit.filter", why))?;
        if filter.share.is_some() && request.options.no_local {
            // [MQTT-3.8.3-4]
            return Err(broken("edit.filter", "shared, but the client asked for no-local"));
        }
        Ok(filter)
    };
    let quality = change.qos.map(|number| qos("edit.qos", number)).transpose()?;
    if let Some(above) = quality.filter(|quality| *quality > request.options.maximum_qos) {
        let asked = request.options.maximum_qos as u8;
        return Err(broken("edit.qos", format_args!("{} is above the {asked} asked for", above as u8)));
    }
    Ok(SubscribeChange { filter: change.filter.map(filter).transpose()?, qos: quality })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_mqtt::{QoS, RetainHandling, SessionId, SubscribeProperties, SubscriptionOptions};

    fn judged(verdict: wire::SubscribeVerdict, no_local: bool) -> Result<SubscribeVerdict, FaultKind> {
        let properties = SubscribeProperties::default();
        let options = SubscriptionOptions {
            maximum_qos: QoS::AtLeastOnce,
            no_local,
            retain_as_published: false,
            retain_handling: RetainHandling::SendAlways,
        };
        let request = SubscribeRequest {
            session: SessionId(1),
            client_id: "c",
            username: None,
            filter: "a/#",
            qos: QoS::AtLeastOnce,
            options,
            properties: &properties,
            attributes: &tidegate_hooks::NO_ATTRIBUTES,
        };
        answers(vec![verdict], &[request]).map(|mut verdicts| verdicts.remove(0))
    }

    fn edit(filter: Option<&str>, qos: Option<u8>) -> wire::SubscribeVerdict {
        wire::SubscribeVerdict::Edit(wire::SubscribeChange { filter: filter.map(Into::into), qos })
    }

    #[test]
    fn a_change_is_taken_over() {
        let verdict = judged(edit(Some("$share/g/b/+"), Some(0)), false).unwrap();
        let SubscribeVerdict::Edit(change) = verdict else { panic!("{verdict:?}") };
        assert_eq!(change.filter.unwrap().to_string(), "$share/g/b/+");
        assert_eq!(change.qos, Some(QoS::AtMostOnce));
    }

    #[test]
    fn nonsense_names_its_field() {
        let fault = |verdict, no_local| judged(verdict, no_local).unwrap_err().to_string();
        for filter in ["", "a/#/b", "$share/g", "$share//a", "$share/g/"] {
            assert!(fault(edit(Some(filter), None), false).contains("verdicts[0].edit.filter"), "{filter}");
        }
        assert!(fault(edit(Some("$share/g/a"), None), true).contains("no-local"));
        assert!(fault(edit(None, Some(2)), false).contains("edit.qos: 2 is above the 1 asked for"));
        assert!(fault(edit(None, Some(7)), false).contains("edit.qos: 7"));
        assert!(fault(wire::SubscribeVerdict::Refuse(1), false).contains("refuse: 0x01"));
        let puback_only = wire::SubscribeVerdict::Refuse(0x99);
        assert!(fault(puback_only, false).contains("which SUBACK cannot say"));
        assert!(judged(wire::SubscribeVerdict::Refuse(0x8F), false).is_ok());
        assert!(answers(Vec::new(), &[]).is_ok());
    }
}
