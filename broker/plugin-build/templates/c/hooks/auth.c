// {{name}}: clients with a password come in, and have topics of their own.
//
// The passwords are the plugin's secrets, by user name: `secrets.alice = "env:ALICE"` below `[plugin.{{name}}]` in the broker's config.

#include "tidegate.h"

const char *plugin_init(const tg_start_t *start, tg_scopes_t *scopes) {
  (void)start, (void)scopes;
  return tg_config_has_only("");
}

static bool knows(tg_string_t username, tg_list_u8_t password) {
  tg_string_t expected;
  if (!tg_secret(username, &expected)) return false;
  bool same = tg_same(expected.ptr, expected.len, password.ptr, password.len);
  tg_string_free(&expected);
  return same;
}

tg_outcome_t plugin_authenticate(const tg_connect_t *client) {
  // Whoever has no name is for others to decide about.
  if (!client->username.is_some) return tg_auth_next();
  tg_string_t username = client->username.val;
  if (!client->password.is_some || !knows(username, client->password.val)) {
    tg_log(TG_INFO, "wrong user name or password username=%.*s peer=%.*s", TG_ARG(username), TG_ARG(client->peer));
    return tg_auth_refuse(TG_BAD_USER_NAME_OR_PASSWORD);
  }
  tg_outcome_t grant = tg_auth_grant();
  tg_allow(&grant, TG_PUBLISH, "devices/%u/#");
  tg_allow(&grant, TG_SUBSCRIBE, "devices/%u/#");
  tg_allow(&grant, TG_SUBSCRIBE, "news/#");
  return grant;
}
