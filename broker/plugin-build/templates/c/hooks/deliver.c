// {{name}}: guests get nothing of what is internal, whatever they subscribe to.

#include "tidegate.h"

// How the client ids of guests begin.
static tg_string_t guests;

// `[plugin.{{name}}.config]` in the broker's config has `topics` and `guests`.
const char *plugin_init(const tg_start_t *start, tg_scopes_t *scopes) {
  (void)start;
  guests = tg_copy("guest-");
  tg_list_string_t topics = {0};
  const char *wrong = tg_config_has_only("topics guests");
  if (!wrong) wrong = tg_config_text("guests", &guests);
  if (!wrong) wrong = tg_config_list("topics", &topics);
  // Asked once a recipient: topics must be named.
  tg_scope_t *scope = tg_scope(scopes, "deliver");
  if (topics.len == 0) tg_about(scope, "internal/#");
  tg_about_all(scope, &topics);
  tg_list_string_free(&topics);
  return wrong;
}

tg_deliver_verdict_t plugin_on_deliver(const tg_message_t *message, uint64_t session, tg_string_t client_id) {
  (void)message, (void)session;
  return tg_starts_with(client_id, guests) ? tg_deliver_drop() : tg_deliver_next();
}
