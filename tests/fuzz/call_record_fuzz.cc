// A call as the actor's worker reads it from its ring.
#include "fbs/call_record.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = raylet::fuzz::AsBytes(data, size);
  static raylet::CallRecord record;  // reused, as the worker does
  const auto parsed = raylet::ParseCallRecord(bytes, record);
  if (!parsed) {
    FUZZ_ASSERT(parsed.error().code == raylet::ErrorCode::kProtocolError);
    return 0;
  }
  FUZZ_ASSERT(record.arguments.size() <= raylet::kCallArgumentsMax);
  FUZZ_ASSERT(raylet::CallRecordBytes(record) == size);
  std::vector<std::byte> written(size);
  raylet::WriteCallRecord(record, written);
  FUZZ_ASSERT(std::memcmp(written.data(), data, size) == 0);
  return 0;
}
