// One message type, RAYLET_FUZZ_MESSAGE: any bytes parse to a sound message or to a protocol error; what parsed means
// the same after another trip over the wire, and is not much larger than the bytes it came from.
#include "fbs/messages.h"
#include "fbs/object_transfer_generated.h"
#include "tests/fuzz/fuzz.h"

namespace {
using Message = raylet::wire::RAYLET_FUZZ_MESSAGE;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto message = raylet::Parse<Message>(raylet::fuzz::AsBytes(data, size));
  if (!message) {
    FUZZ_ASSERT(message.error().code == raylet::ErrorCode::kProtocolError);
    return 0;
  }
  const raylet::Bytes encoded = raylet::Encode(*message);
  FUZZ_ASSERT(encoded.size() <= 32 * (size + 64));
  const auto again = raylet::Parse<Message>(encoded);
  FUZZ_ASSERT(again.has_value());
  FUZZ_ASSERT(raylet::Encode(*again) == encoded);
  return 0;
}
