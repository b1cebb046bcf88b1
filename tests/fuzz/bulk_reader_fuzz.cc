// A raylet's input on a bulk connection. Any bytes, in pieces of any size, end in chunks inside their places, in
// messages, or in an error. The first bytes of the input are the sizes of the pieces.
#include <array>
#include <vector>

#include "raylet/objects/bulk_reader.h"
#include "tests/fuzz/fuzz.h"

namespace {

using raylet::Result;

class Places final : public raylet::BulkReader::Sink {
 public:
  Result<std::span<std::byte>> PlaceFor(uint64_t pull, uint64_t, uint64_t bytes) override {
    if (pull % 4 == 0) return std::span<std::byte>();
    if (pull % 4 == 1) return raylet::Fail(raylet::ErrorCode::kProtocolError, "refused");
    place_.assign(bytes + 1, std::byte{0});  // of its own, so that the sanitizer sees a byte too many
    return std::span(place_.data(), bytes);
  }
  Result<void> OnChunk(uint64_t, uint64_t, std::span<const std::byte> bytes, uint64_t) override {
    FUZZ_ASSERT(bytes.data() == place_.data() && bytes.size() + 1 == place_.size() && place_.back() == std::byte{0});
    raylet::fuzz::Touch(bytes.data(), bytes.size());
    return {};
  }
  Result<void> OnMessage(const raylet::FrameHeader& header, std::span<const std::byte> body) override {
    FUZZ_ASSERT(header.body_bytes == body.size());
    raylet::fuzz::Touch(body.data(), body.size());
    return {};
  }

 private:
  std::vector<std::byte> place_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  raylet::fuzz::Input input(data, size);
  const auto pieces = input.Take<std::array<uint8_t, 4>>();
  auto stream = input.Rest();
  Places places;
  raylet::BulkReader reader(places);
  for (size_t i = 0; !stream.empty(); ++i) {
    if (pieces[0] % 8 == 0 && i == pieces[1]) reader.Forget(pieces[2]);
    size_t left = std::min<size_t>(stream.size(), 1 + pieces[i % pieces.size()]), read = 0;
    for (const iovec& room : reader.Room()) {
      const size_t bytes = std::min(left - read, room.iov_len);
      std::memcpy(room.iov_base, stream.data() + read, bytes);
      read += bytes;
    }
    FUZZ_ASSERT(read > 0);
    stream = stream.subspan(read);
    if (!reader.Took(read)) break;
  }
  return 0;
}
