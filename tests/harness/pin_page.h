// A client's pin page in this process's memory, zeroed, as the daemon hands it out. Memory lies only behind what is
// touched, as in a client's real page.
#pragma once

#include <sys/mman.h>

#include <memory>

#include "base/check.h"
#include "fbs/segment_layout.h"

namespace raylet::test {

struct UnmapPinPage {
  void operator()(PinPage* page) const { ::munmap(page, PinPageBytes()); }
};
using PinPagePtr = std::unique_ptr<PinPage, UnmapPinPage>;

inline PinPagePtr MakePinPage(uint32_t client = 0) {
  void* const memory =
      ::mmap(nullptr, PinPageBytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  RAYLET_CHECK(memory != MAP_FAILED, "no memory for a pin page");
  auto* const page = static_cast<PinPage*>(memory);
  page->magic = kPinsMagic;
  page->layout_version = kLayoutVersion;
  page->client = client;
  return PinPagePtr(page);
}

}  // namespace raylet::test
