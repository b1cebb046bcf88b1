#include "fbs/put_page.h"

#include <new>

#include "base/ring.h"
#include "base/strings.h"

namespace raylet {

size_t PutPageBytes() {
  constexpr size_t kPage = 4096;
  return (kPutRingOffset + RingBytes(kPutRingBytes) + kPage - 1) / kPage * kPage;
}

void InitPutPage(std::span<std::byte> memory, uint32_t client) {
  auto* const page = reinterpret_cast<PutPage*>(memory.data());  // zeroes
  InitRing(PutRingOf(memory), kPutRingBytes);
  page->layout_version = kLayoutVersion;
  page->client = client;
  page->magic = kPutMagic;
}

Result<PutPage*> CheckPutPage(std::span<std::byte> memory, uint32_t client) {
  auto* const page = reinterpret_cast<PutPage*>(memory.data());
  if (memory.size() < PutPageBytes() || page->magic != kPutMagic)
    return Fail(ErrorCode::kProtocolError, StrCat("not a put page: ", memory.size(), " bytes with another magic"));
  if (page->layout_version != kLayoutVersion)
    return Fail(ErrorCode::kVersionMismatch,
                StrCat("put page of layout ", page->layout_version, ", this program writes layout ", kLayoutVersion));
  if (page->client != client)
    return Fail(ErrorCode::kProtocolError, StrCat("the put page of client ", page->client, " came to client ", client));
  return page;
}

}  // namespace raylet
