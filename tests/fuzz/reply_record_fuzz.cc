// A reply as the caller reads it from its ring.
#include "fbs/call_record.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto record = raylet::ParseReplyRecord(raylet::fuzz::AsBytes(data, size));
  if (!record) {
    FUZZ_ASSERT(record.error().code == raylet::ErrorCode::kProtocolError);
    return 0;
  }
  FUZZ_ASSERT(raylet::ReplyRecordBytes(*record) == size);
  std::vector<std::byte> written(size);
  raylet::WriteReplyRecord(*record, written);
  const auto again = raylet::ParseReplyRecord(written);
  FUZZ_ASSERT(again && again->call == record->call && again->lend == record->lend &&
              again->arguments_retained == record->arguments_retained && again->result.kind == record->result.kind &&
              again->result.bytes == record->result.bytes && again->result.id == record->result.id &&
              again->references == record->references && again->retained == record->retained);
  return 0;
}
