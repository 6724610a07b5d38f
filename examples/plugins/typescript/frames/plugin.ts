// frames: what sensors send in six bytes becomes JSON, under another topic.

import { edit, type Message, next, ReasonCode, refuse, type Scope, type Verdict } from "./tidegate/tidegate.ts";

export default class Frames {
  /** `[plugin.frames.config]` in the broker's config, with defaults: topics below `from` have frames, what is in them goes below `to`. */
  static config = { from: "raw", to: "sensors" };

  constructor(readonly config: typeof Frames.config) {
    if (/[+#]/.test(config.from)) throw new Error("config key `from`: expected a topic, without + and #");
  }

  scopes(): Scope[] {
    return [{ hook: "publish", filters: [`${this.config.from}/#`], wants: ["payload"] }];
  }

  onPublish({ topic, payload }: Message): Verdict {
    // It removes a retained message.
    if (payload.length === 0) return next;
    const told = this.told(payload);
    if (told === undefined) return refuse(ReasonCode.PayloadFormatInvalid);
    return edit({ topic: this.config.to + topic.slice(this.config.from.length), payload: JSON.stringify(told) });
  }

  /** 01, battery in percent, centidegrees, permille of humidity. */
  private told(frame: Uint8Array) {
    if (frame.length !== 6) return undefined;
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    const [battery, humidity] = [view.getUint8(1), view.getUint16(4)];
    if (view.getUint8(0) !== 1 || battery > 100 || humidity > 1000) return undefined;
    return { battery, celsius: view.getInt16(2) / 100, humidity: humidity / 10 };
  }
}
