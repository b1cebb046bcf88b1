// The frame parser: a stream in any pieces gives the frames that the whole stream gives, and never more bytes than came
// in.
#include "base/frame.h"
#include "tests/fuzz/fuzz.h"

namespace {

constexpr size_t kBodyBytesMax = 512;

// The frames and how it ended, as bytes: first the frames as they would be sent again, then whether the stream failed.
std::vector<std::byte> Drain(raylet::FrameParser& parser, bool& failed) {
  std::vector<std::byte> seen;
  while (true) {
    auto frame = parser.Next();
    if (!frame) {
      FUZZ_ASSERT(frame.error().code == raylet::ErrorCode::kProtocolError);
      failed = true;
      return seen;
    }
    if (!*frame) return seen;
    FUZZ_ASSERT((*frame)->body.size() <= kBodyBytesMax);
    FUZZ_ASSERT((*frame)->body.size() == (*frame)->header.body_bytes);
    raylet::AppendFrame(seen, (*frame)->header.type, (*frame)->header.request_id, (*frame)->body);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  raylet::fuzz::Input input(data, size);
  const auto piece_bytes_max = size_t{1} + input.Take<uint8_t>();
  const auto stream = input.Rest();

  raylet::FrameParser whole(kBodyBytesMax);
  whole.Feed(stream);
  bool whole_failed = false;
  const auto expected = Drain(whole, whole_failed);
  FUZZ_ASSERT(expected.size() <= stream.size());

  raylet::FrameParser pieces(kBodyBytesMax);
  std::vector<std::byte> seen;
  bool failed = false;
  for (size_t at = 0; at < stream.size() && !failed; at += piece_bytes_max) {
    pieces.Feed(stream.subspan(at, std::min(piece_bytes_max, stream.size() - at)));
    const auto more = Drain(pieces, failed);
    seen.insert(seen.end(), more.begin(), more.end());
    FUZZ_ASSERT(pieces.buffered_bytes() <= kBodyBytesMax + sizeof(raylet::FrameHeader) + piece_bytes_max);
  }
  FUZZ_ASSERT(seen == expected);
  FUZZ_ASSERT(failed == whole_failed);
  return 0;
}
