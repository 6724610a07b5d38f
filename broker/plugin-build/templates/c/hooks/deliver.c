// {{name}}: guests get nothing of what is internal, whatever they subscribe to.

#include "tidegate.h"

// How the client ids of guests begin.
static tg_string_t guests;

// `[plugin.{{name}}.config]` in the broker's config has `guests`.
const char *plugin_init(const tg_start_t *start, tg_scopes_t *scopes) {
  (void)start;
  guests = tg_print("guest-");
  const char *wrong = tg_config_has_only("guests");
  if (!wrong) wrong = tg_config_text("guests", &guests);
  // Asked once a recipient: topics must be named.
  tg_about(tg_scope(scopes, "deliver"), "internal/#");
  return wrong;
}

tg_deliver_verdict_t plugin_on_deliver(const tg_message_t *message, uint64_t session, tg_string_t client_id) {
  (void)message, (void)session;
  bool is_guest = client_id.len >= guests.len && memcmp(client_id.ptr, guests.ptr, guests.len) == 0;
  return is_guest ? tg_deliver_drop() : tg_deliver_next();
}
