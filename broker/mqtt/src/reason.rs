//! Reason codes (MQTT 5.0 section 2.4), the one vocabulary of refusals in the whole broker.

use crate::packet::PacketType;

macro_rules! reason_codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        /// A reason code of section 2.4. Below 0x80 means success.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(u8)]
        pub enum ReasonCode {
            $($(#[$doc])* $name = $value,)*
        }

        impl ReasonCode {
            /// The standard's name of the code, in lower case.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }

        impl TryFrom<u8> for ReasonCode {
            type Error = u8;
            /// # Errors
            /// The number itself, if no code has it.
            fn try_from(value: u8) -> Result<Self, u8> {
                match value { $($value => Ok(Self::$name),)* other => Err(other) }
            }
        }
    };
}

reason_codes! {
    /// Also "normal disconnection" and "granted QoS 0".
    Success = 0x00, "success";
    /// Subscription accepted at QoS 1.
    GrantedQos1 = 0x01, "granted QoS 1";
    /// Subscription accepted at QoS 2.
    GrantedQos2 = 0x02, "granted QoS 2";
    /// The client leaves and wants its will sent.
    DisconnectWithWill = 0x04, "disconnect with will message";
    /// Accepted, nobody receives it.
    NoMatchingSubscribers = 0x10, "no matching subscribers";
    /// UNSUBACK for a filter nobody subscribed to.
    NoSubscriptionExisted = 0x11, "no subscription existed";
    /// AUTH goes on.
    ContinueAuthentication = 0x18, "continue authentication";
    /// AUTH again.
    ReAuthenticate = 0x19, "re-authenticate";
    /// No better code, or none to be told.
    UnspecifiedError = 0x80, "unspecified error";
    /// The bytes are not the packet they claim to be.
    MalformedPacket = 0x81, "malformed packet";
    /// The packet may not come now, or contradicts itself.
    ProtocolError = 0x82, "protocol error";
    /// A fault on our side, a plugin's or a store's.
    ImplementationSpecificError = 0x83, "implementation specific error";
    /// Protocol level not served.
    UnsupportedProtocolVersion = 0x84, "unsupported protocol version";
    /// Client identifier refused.
    ClientIdentifierNotValid = 0x85, "client identifier not valid";
    /// Who are you?
    BadUserNameOrPassword = 0x86, "bad user name or password";
    /// Known, but not allowed.
    NotAuthorized = 0x87, "not authorized";
    /// Cannot serve now.
    ServerUnavailable = 0x88, "server unavailable";
    /// Try again later.
    ServerBusy = 0x89, "server busy";
    /// Barred by an operator.
    Banned = 0x8A, "banned";
    /// The broker stops.
    ServerShuttingDown = 0x8B, "server shutting down";
    /// Authentication method unknown, or changed.
    BadAuthenticationMethod = 0x8C, "bad authentication method";
    /// Nothing heard for one and a half keep alives.
    KeepAliveTimeout = 0x8D, "keep alive timeout";
    /// The same client identifier connected elsewhere.
    SessionTakenOver = 0x8E, "session taken over";
    /// The filter is well formed but not accepted here.
    TopicFilterInvalid = 0x8F, "topic filter invalid";
    /// The topic is well formed but not accepted here.
    TopicNameInvalid = 0x90, "topic name invalid";
    /// The packet identifier is in use.
    PacketIdentifierInUse = 0x91, "packet identifier in use";
    /// The packet identifier is not known.
    PacketIdentifierNotFound = 0x92, "packet identifier not found";
    /// More QoS > 0 messages at once than Receive Maximum allows.
    ReceiveMaximumExceeded = 0x93, "receive maximum exceeded";
    /// Topic alias 0, too large, or never set.
    TopicAliasInvalid = 0x94, "topic alias invalid";
    /// Larger than the Maximum Packet Size.
    PacketTooLarge = 0x95, "packet too large";
    /// Sending faster than allowed.
    MessageRateTooHigh = 0x96, "message rate too high";
    /// A limit of ours is reached.
    QuotaExceeded = 0x97, "quota exceeded";
    /// Closed by an operator or plugin.
    AdministrativeAction = 0x98, "administrative action";
    /// Payload is not what Payload Format Indicator says.
    PayloadFormatInvalid = 0x99, "payload format invalid";
    /// No retained messages here.
    RetainNotSupported = 0x9A, "retain not supported";
    /// QoS above the Maximum QoS.
    QosNotSupported = 0x9B, "QoS not supported";
    /// Use another server for now.
    UseAnotherServer = 0x9C, "use another server";
    /// Use another server from now on.
    ServerMoved = 0x9D, "server moved";
    /// No shared subscriptions here.
    SharedSubscriptionsNotSupported = 0x9E, "shared subscriptions not supported";
    /// Connecting faster than allowed.
    ConnectionRateExceeded = 0x9F, "connection rate exceeded";
    /// Connected for longer than allowed.
    MaximumConnectTime = 0xA0, "maximum connect time";
    /// No subscription identifiers here.
    SubscriptionIdentifiersNotSupported = 0xA1, "subscription identifiers not supported";
    /// No wildcards here.
    WildcardSubscriptionsNotSupported = 0xA2, "wildcard subscriptions not supported";
}

impl ReasonCode {
    /// Whether the code says failure.
    pub fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// Whether MQTT 5 lists the code for this packet, from either sender (section 2.4 and the tables of chapter 3).
    pub fn is_allowed_in(self, packet: PacketType) -> bool {
        let allowed: &[u8] = match packet {
            // [MQTT-3.2.2-8]
            PacketType::ConnAck => &[
                0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95,
                0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
            ],
            // [MQTT-3.4.2-1], [MQTT-3.5.2-1]
            PacketType::PubAck | PacketType::PubRec => {
                &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
            }
            // [MQTT-3.6.2-1], [MQTT-3.7.2-1]
            PacketType::PubRel | PacketType::PubComp => &[0x00, 0x92],
            // [MQTT-3.9.3-2]
            PacketType::SubAck => &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2],
            // [MQTT-3.11.3-2]
            PacketType::UnsubAck => &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91],
            // [MQTT-3.14.2-1]; 0x8C is in section 2.4 only.
            PacketType::Disconnect => &[
                0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93,
                0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
            ],
            // [MQTT-3.15.2-1]
            PacketType::Auth => &[0x00, 0x18, 0x19],
            _ => &[],
        };
        allowed.contains(&(self as u8))
    }
}

impl std::fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "0x{:02X} {}", *self as u8, self.text())
    }
}
