// Messages of one type; the program's name says which (CreateRequest_fuzz). Any bytes parse to a sound
// message or to a protocol error. A parsed message means the same after another trip over the wire, and
// is not much larger than its bytes. One program serves all types: reading the schemas' headers is most
// of the work of compiling it.
#include <string>

#include "fbs/messages.h"
#include "fbs/peer_object_generated.h"
#include "tests/fuzz/fuzz.h"
#include "wire_message_list.h"

namespace {

template <class Message>
void TryMessage(const uint8_t* data, size_t size) {
  const auto message = raylet::Parse<Message>(raylet::fuzz::AsBytes(data, size));
  if (!message) {
    FUZZ_ASSERT(message.error().code == raylet::ErrorCode::kProtocolError);
    return;
  }
  const raylet::Bytes encoded = raylet::Encode(*message);
  FUZZ_ASSERT(encoded.size() <= 32 * (size + 64));
  const auto again = raylet::Parse<Message>(encoded);
  FUZZ_ASSERT(again.has_value());
  FUZZ_ASSERT(raylet::Encode(*again) == encoded);
}

void (*try_message)(const uint8_t* data, size_t size) = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char*** argv) {
  const std::string path = (*argv)[0];
  const std::string name = path.substr(path.rfind('/') + 1);
#define RAYLET_X(message) \
  if (name == #message "_fuzz") try_message = TryMessage<raylet::wire::message##T>;
  RAYLET_WIRE_MESSAGES(RAYLET_X)
#undef RAYLET_X
  if (try_message != nullptr) return 0;
  std::fprintf(stderr, "there is no message '%s': run this by a link's name, such as CreateRequest_fuzz\n",
               name.c_str());
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try_message(data, size);
  return 0;
}
