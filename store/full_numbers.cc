#include "store/full_numbers.h"

#include <algorithm>
#include <utility>

#include "base/counted.h"
#include "base/strings.h"

namespace raylet::store {
namespace {

// The client chose its name, and the text may end in a terminal.
std::string Printable(std::string text) {
  for (char& c : text)
    if (c < ' ' || c > '~') c = '?';
  return text;
}

}  // namespace

void FullNumbers::AddPinner(Pinner pinner) {
  if (pinner.bytes == 0) return;
  const auto place =
      std::find_if(pinners.begin(), pinners.end(), [&](const Pinner& other) { return other.bytes < pinner.bytes; });
  pinners.insert(place, std::move(pinner));
  if (pinners.size() > kPinnersNamed) pinners.pop_back();
}

std::string FullNumbers::Pinned() const {
  std::string text = StrCat("pinned ", pinned_bytes);
  for (size_t i = 0; i < pinners.size(); ++i)
    text += StrCat(i == 0 ? ", of which " : " and ", pinners[i].bytes, " by process ", pinners[i].pid, " (",
                   Printable(pinners[i].program), ")");
  return text;
}

std::string FullNumbers::NoRoomFor(const ObjectId& id, uint64_t capacity_bytes) const {
  return StrCat("StoreFull: object ", id.hex(), " needs ", Counted(need_bytes, "byte"), "; free ", free_bytes, " of ",
                capacity_bytes, ", largest run ", largest_run_bytes, ", ", Pinned(),
                spilling.empty() ? "" : StrCat("; ", spilling),
                "; release or delete objects, or start plasma_store with a larger -m");
}

}  // namespace raylet::store
