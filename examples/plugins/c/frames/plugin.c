// frames: what sensors send in six bytes becomes JSON, under another topic.

#include "tidegate.h"

// Topics below `from` have frames, what is in them goes below `to`.
static tg_string_t from, to;

// `[plugin.frames.config]` in the broker's config has `from` and `to`.
const char *plugin_init(const tg_start_t *start, tg_scopes_t *scopes) {
  (void)start;
  from = tg_copy("raw"), to = tg_copy("sensors");
  const char *wrong = tg_config_has_only("from to");
  if (!wrong) wrong = tg_config_text("from", &from);
  if (!wrong) wrong = tg_config_text("to", &to);
  if (!wrong && tg_has_any(from, "+#")) wrong = "config key `from`: expected a topic, without + and #";
  tg_string_t filter = tg_print("%.*s/#", TG_ARG(from));
  tg_scope_t *scope = tg_scope(scopes, "publish");
  tg_about(scope, filter);
  tg_want(scope, "payload");
  tg_string_free(&filter);
  return wrong;
}

tg_verdict_t plugin_on_publish(const tg_message_t *message) {
  tg_list_u8_t frame = tg_payload(message);
  // It removes a retained message.
  if (frame.len == 0) return tg_publish_next();
  // 01, battery in percent, centidegrees, permille of humidity.
  if (frame.len != 6 || frame.ptr[0] != 1) return tg_publish_refuse(TG_PAYLOAD_FORMAT_INVALID);
  int battery = frame.ptr[1], humidity = frame.ptr[4] << 8 | frame.ptr[5];
  int centidegrees = (int16_t)(frame.ptr[2] << 8 | frame.ptr[3]);
  if (battery > 100 || humidity > 1000) return tg_publish_refuse(TG_PAYLOAD_FORMAT_INVALID);

  tg_string_t told = tg_print("{\"battery\":%d,\"celsius\":%.2f,\"humidity\":%.1f}", battery, centidegrees / 100.0, humidity / 10.0);
  // The scope has `from` itself, too.
  size_t above = message->topic.len < from.len ? message->topic.len : from.len;
  tg_string_t below = {message->topic.ptr + above, message->topic.len - above};
  tg_string_t topic = tg_print("%.*s%.*s", TG_ARG(to), TG_ARG(below));
  tg_patch_t patch = tg_patch();
  tg_patch_topic(&patch, topic);
  tg_patch_payload(&patch, told.ptr, told.len);
  tg_string_free(&told);
  tg_string_free(&topic);
  return tg_publish_edit(patch);
}
