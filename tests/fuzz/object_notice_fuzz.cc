// A notice as a subscriber reads it from its socket.
#include "fbs/object_notice.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto content = raylet::fuzz::AsBytes(data, size);
  const auto length = raylet::NoticeContentBytes(content);
  if (length) FUZZ_ASSERT(*length <= raylet::kNoticeContentBytesMax);
  const auto notice = raylet::ParseNotice(content);
  if (!notice) {
    FUZZ_ASSERT(notice.error().code == raylet::ErrorCode::kProtocolError);
    return 0;
  }
  FUZZ_ASSERT(notice->gone() ? notice->metadata_bytes == raylet::kGoneSize : notice->metadata_bytes >= 0);
  std::vector<std::byte> written;
  raylet::AppendNotice(written, *notice);
  const auto again = raylet::ParseNotice(std::span(written).subspan(raylet::kNoticeLengthBytes));
  FUZZ_ASSERT(again && *again == *notice);
  if (size <= raylet::kNoticeContentBytesMax) FUZZ_ASSERT(raylet::ParseNoticeAt(data).has_value());
  return 0;
}
