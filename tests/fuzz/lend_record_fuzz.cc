// The end of a lend, as either side of a channel reads it.
#include "fbs/call_record.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto lend = raylet::ParseLendRecord(raylet::fuzz::AsBytes(data, size));
  FUZZ_ASSERT(lend.has_value() == (size == 8));
  if (!lend) {
    FUZZ_ASSERT(lend.error().code == raylet::ErrorCode::kProtocolError);
    return 0;
  }
  std::byte written[8];
  raylet::WriteLendRecord(*lend, written);
  FUZZ_ASSERT(std::memcmp(written, data, size) == 0);
  return 0;
}
