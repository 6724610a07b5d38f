// {{name}}: temperatures in Celsius become JSON with both scales.

#include "tidegate.h"

static double decimals = 1;

// `[plugin.{{name}}.config]` in the broker's config has `decimals`.
const char *plugin_init(const tg_start_t *start, tg_scopes_t *scopes) {
  (void)start;
  const char *wrong = tg_config_has_only("decimals");
  if (!wrong) wrong = tg_config_number("decimals", &decimals);
  // Other topics cost nothing.
  tg_scope_t *scope = tg_scope(scopes, "publish");
  tg_about(scope, "sensors/#");
  tg_want(scope, "payload");
  return wrong;
}

tg_verdict_t plugin_on_publish(const tg_message_t *message) {
  tg_list_u8_t payload = tg_payload(message);
  // It removes a retained message.
  if (payload.len == 0) return tg_publish_next();
  double celsius;
  bool is_number = tg_json_number(tg_json_only(payload.ptr, payload.len), &celsius);
  // So many degrees that there is no number for them in the other scale.
  if (!is_number || !isfinite(celsius * 1.8 + 32)) return tg_publish_refuse(TG_PAYLOAD_FORMAT_INVALID);
  int digits = (int)decimals;
  tg_string_t both =
      tg_print("{\"celsius\":%.*f,\"fahrenheit\":%.*f}", digits, celsius, digits, celsius * 1.8 + 32);
  tg_patch_t patch = tg_patch();
  tg_patch_payload(&patch, both.ptr, both.len);
  tg_string_free(&both);
  return tg_publish_edit(patch);
}
