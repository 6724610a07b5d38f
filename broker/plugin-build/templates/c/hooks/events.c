// {{name}}: says in the log who comes and goes.

#include "tidegate.h"

const char *plugin_init(const tg_start_t *start, tg_scopes_t *scopes) {
  (void)start;
  tg_scope_t *scope = tg_scope(scopes, "events");
  tg_want(scope, "connected");
  tg_want(scope, "disconnected");
  return tg_config_has_only("");
}

void plugin_on_event(const tg_event_t *event) {
  tg_log(TG_INFO, "client client=%.*s event=%.*s", TG_ARG(event->client_id), TG_ARG(event->kind));
}
