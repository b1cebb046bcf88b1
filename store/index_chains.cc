#include "store/index_chains.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"

namespace raylet::store {

IndexChains::IndexChains(IndexHeader* header, uint32_t chains_at_first)
    : header_(header), chain_count_(static_cast<uint32_t>(std::min<uint64_t>(chains_at_first, header->entries_max))) {
  header_->chain_count.store(chain_count_, std::memory_order_release);
}

ObjectId IndexChains::IdOf(const IndexEntry& entry) {
  uint64_t words[3];
  for (int i = 0; i < 3; ++i) words[i] = entry.id_words[i].load(std::memory_order_relaxed);
  ObjectId id;
  std::memcpy(id.mutable_data(), words, ObjectId::kSize);
  return id;
}

std::optional<uint32_t> IndexChains::Find(const ObjectId& id) const {
  const uint64_t hash = IndexHash(id);
  const uint64_t head = HeadOf(ChainOf(hash, chain_count_)).load(std::memory_order_relaxed);
  if ((FilterOf(head) & FilterBit(hash)) == 0) return std::nullopt;
  for (uint32_t link = FirstLinkOf(head); link != kNoLink; link = Linked(link).next.load(std::memory_order_relaxed))
    if (IdOf(Linked(link)) == id) return link - 1;
  return std::nullopt;
}

// Release: a reader that sees the new head, or a link stored after it, sees everything before it.
void IndexChains::Publish(uint32_t chain, uint32_t first_link, uint8_t filter) {
  std::atomic<uint64_t>& head = HeadOf(chain);
  head.store(MakeHead(first_link, ChangesOf(head.load(std::memory_order_relaxed)) + 1, filter),
             std::memory_order_release);
}

void IndexChains::Link(uint32_t entry, uint64_t hash) {
  const uint32_t chain = ChainOf(hash, chain_count_);
  const uint64_t head = HeadOf(chain).load(std::memory_order_relaxed);
  // Release: a reader that still follows the entry's old chain sees that the head of that chain has
  // changed, since the unlinking came first.
  Linked(entry + 1).next.store(FirstLinkOf(head), std::memory_order_release);
  Publish(chain, entry + 1, FilterOf(head) | FilterBit(hash));
}

void IndexChains::Unlink(uint32_t entry, uint64_t hash) {
  const uint32_t chain = ChainOf(hash, chain_count_);
  uint32_t first = FirstLinkOf(HeadOf(chain).load(std::memory_order_relaxed));
  const uint32_t after = Linked(entry + 1).next.load(std::memory_order_relaxed);
  uint32_t before = kNoLink;
  uint8_t filter = 0;
  for (uint32_t link = first; link != kNoLink; link = Linked(link).next.load(std::memory_order_relaxed)) {
    if (link == entry + 1) continue;
    filter |= FilterBit(IndexHash(IdOf(Linked(link))));
    if (Linked(link).next.load(std::memory_order_relaxed) == entry + 1) before = link;
  }
  RAYLET_CHECK(before != kNoLink || first == entry + 1, "entry ", entry, " is not in its chain");
  if (before != kNoLink)
    Linked(before).next.store(after, std::memory_order_release);
  else
    first = after;
  Publish(chain, first, filter);  // before the entry is used again, so that readers who stand on it notice
}

void IndexChains::Spread(uint32_t objects, uint32_t chains_max) {
  while (chain_count_ < std::min(objects, chains_max)) Split();
}

// Moves the objects of one chain that belong to a new chain. Both share the old links at first, and
// then each skips the other's objects, run by run. A link is changed only once no new reader of the
// other chain follows it. A reader that follows it already sees that its own head has changed.
void IndexChains::Split() {
  const uint32_t half = std::bit_floor(chain_count_);
  const uint32_t chains[2] = {chain_count_ - half, chain_count_};  // old and new
  struct Side {
    uint32_t first = kNoLink, last = kNoLink;  // links to entries that belong here, as far as seen
    uint8_t filter = 0;
  } sides[2];
  const uint32_t start = FirstLinkOf(HeadOf(chains[0]).load(std::memory_order_relaxed));
  const auto side_of = [&](uint32_t link) { return (IndexHash(IdOf(Linked(link))) & half) != 0 ? 1 : 0; };
  for (uint32_t link = start; link != kNoLink; link = Linked(link).next.load(std::memory_order_relaxed)) {
    const int side = side_of(link);
    if (sides[side].first == kNoLink) sides[side].first = link;
    sides[side].filter |= FilterBit(IndexHash(IdOf(Linked(link))));
  }
  Publish(chains[1], sides[1].first, sides[1].filter);
  // Readers look for the new chain's objects there from now on. The one that still looks in the old
  // chain sees that this number has changed, or the head below.
  header_->chain_count.store(++chain_count_, std::memory_order_release);
  Publish(chains[0], sides[0].first, sides[0].filter);

  const auto skip_to = [&](int side, uint32_t link) {
    if (sides[side].last == kNoLink) return;  // the head says it
    std::atomic<uint32_t>& next = Linked(sides[side].last).next;
    if (next.load(std::memory_order_relaxed) == link) return;
    next.store(link, std::memory_order_release);
    Publish(chains[side], sides[side].first, sides[side].filter);
  };
  for (uint32_t link = start; link != kNoLink;) {
    const uint32_t next = Linked(link).next.load(std::memory_order_relaxed);
    const int side = side_of(link);
    skip_to(side, link);
    sides[side].last = link;
    link = next;
  }
  for (const int side : {0, 1}) skip_to(side, kNoLink);
}

}  // namespace raylet::store
