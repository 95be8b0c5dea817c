//! The adapter against the stand-in: the conformance suite in every mode and place, and what only Telegram has.

#![expect(clippy::unwrap_used, reason = "a test that can't go on should fail here")]

mod support;

mod polling_in_private {
    use packetboat_telegram::config::Mode;

    use crate::support::{Place, TelegramHarness};

    packetboat_adapter_api::conformance_tests!(TelegramHarness::start(Mode::Poll, Place::Private));
}

mod polling_in_topics {
    use packetboat_telegram::config::Mode;

    use crate::support::{Place, TelegramHarness};

    packetboat_adapter_api::conformance_tests!(TelegramHarness::start(Mode::Poll, Place::Topic));
}

mod webhook_in_groups {
    use packetboat_telegram::config::Mode;

    use crate::support::{Place, TelegramHarness};

    packetboat_adapter_api::conformance_tests!(TelegramHarness::start(Mode::Webhook, Place::Group));
}

mod delivering;
mod listening;
