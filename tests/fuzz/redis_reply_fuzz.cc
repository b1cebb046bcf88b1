// Bytes from the control store's address. Any pieces give the answers that the whole stream gives.
#include "raylet/control/redis_reply.h"
#include "tests/fuzz/fuzz.h"

namespace {

void Write(const raylet::RedisReply& reply, std::string& out) {
  out += std::to_string(static_cast<int>(reply.kind)) + " " + std::to_string(reply.integer) + " " + reply.text + "\n";
  for (const auto& part : reply.list) Write(part, out);
}

// The answers, and whether the stream failed at last.
std::string Drain(raylet::RedisReplyReader& reader, bool& failed) {
  std::string seen;
  while (true) {
    const auto reply = reader.Next();
    if (!reply) {
      FUZZ_ASSERT(reply.error().code == raylet::ErrorCode::kProtocolError);
      failed = true;
      return seen;
    }
    if (!*reply) return seen;
    Write(**reply, seen);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  raylet::fuzz::Input input(data, size);
  const auto piece_bytes = size_t{1} + input.Take<uint8_t>();
  const auto stream = input.Rest();

  raylet::RedisReplyReader whole;
  whole.Feed(stream);
  bool whole_failed = false;
  const std::string expected = Drain(whole, whole_failed);

  raylet::RedisReplyReader pieces;
  std::string seen;
  bool failed = false;
  for (size_t at = 0; at < stream.size() && !failed; at += piece_bytes) {
    pieces.Feed(stream.subspan(at, std::min(piece_bytes, stream.size() - at)));
    seen += Drain(pieces, failed);
  }
  FUZZ_ASSERT(seen == expected);
  FUZZ_ASSERT(failed == whole_failed);
  return 0;
}
