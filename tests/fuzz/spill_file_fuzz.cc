// Head and row of a file of spilled objects: any bytes are refused, or lie within their file. The first byte says
// whether checksums are made to fit, so that the fuzzer comes past them.
#include <cstring>

#include "store/spill_file.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace raylet::store;
  if (size < 1 + sizeof(SpillHead)) return 0;
  SpillHead head;
  std::memcpy(&head, data + 1, sizeof head);
  if ((data[0] & 1) != 0) Finish(head);
  const auto parsed = ParseSpillHead(std::as_bytes(std::span(&head, 1)), head.file, head.file_bytes);
  if (!parsed) {
    FUZZ_ASSERT(parsed.error().code == raylet::ErrorCode::kProtocolError);
    return 0;
  }
  FUZZ_ASSERT(SpillBodyOffset(parsed->rows) <= parsed->file_bytes);
  std::span<const std::byte> rest = std::as_bytes(std::span(data + 1 + sizeof head, size - 1 - sizeof head));
  SpillRow row;
  if ((data[0] & 2) != 0 && rest.size() >= sizeof row) {
    std::memcpy(&row, rest.data(), sizeof row);
    Finish(row, parsed->file);
    rest = std::as_bytes(std::span(&row, 1));
  }
  const auto read = ParseSpillRow(rest, *parsed);
  if (!read) {
    FUZZ_ASSERT(read.error().code == raylet::ErrorCode::kProtocolError);
    return 0;
  }
  const uint64_t bytes = SpilledBytes(read->data_bytes, read->metadata_bytes);
  FUZZ_ASSERT(bytes >= read->data_bytes && read->offset + bytes >= bytes && read->offset + bytes <= parsed->file_bytes);
  return 0;
}
