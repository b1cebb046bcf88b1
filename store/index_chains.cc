#include "store/index_chains.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"

namespace raylet::store {

IndexChains::IndexChains(IndexHeader* header, uint32_t chains_at_first)
    : header_(header), chain_count_(header->chain_count.load(std::memory_order_relaxed)) {
  const bool fresh = chain_count_ == 1 && header->entry_bound.load(std::memory_order_relaxed) == 0;
  if (!fresh) return;
  chain_count_ = static_cast<uint32_t>(std::min<uint64_t>(chains_at_first, header->entries_max));
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
  const uint32_t added = chain_count_;
  const uint32_t old = added - std::bit_floor(added);
  // Its head is that of the old chain, so that each object of the new chain is found in it.
  const uint64_t head = HeadOf(old).load(std::memory_order_relaxed);
  Publish(added, FirstLinkOf(head), FilterOf(head));
  // Readers look for the new chain's objects there from now on. The one that still looks in the old
  // chain sees that this number has changed, or the head below.
  header_->chain_count.store(++chain_count_, std::memory_order_release);
  EndSplit(added);
}

// Does nothing where the two chains share no link any more.
void IndexChains::EndSplit(uint32_t new_chain) {
  const uint32_t half = std::bit_floor(new_chain);
  const uint32_t chains[2] = {new_chain - half, new_chain};
  struct Side {
    uint32_t first = kNoLink, last = kNoLink;  // links to entries that belong here, as far as seen
    uint8_t filter = 0;
  } sides[2];
  const auto next_of = [&](uint32_t link) { return Linked(link).next.load(std::memory_order_relaxed); };
  const auto first_of = [&](int side) { return FirstLinkOf(HeadOf(chains[side]).load(std::memory_order_relaxed)); };
  const auto side_of = [&](uint32_t link) { return (IndexHash(IdOf(Linked(link))) & half) != 0 ? 1 : 0; };
  for (const int side : {0, 1}) {
    for (uint32_t link = first_of(side); link != kNoLink; link = next_of(link)) {
      if (side_of(link) != side) continue;
      if (sides[side].first == kNoLink) sides[side].first = link;
      sides[side].filter |= FilterBit(IndexHash(IdOf(Linked(link))));
    }
  }
  const auto publish = [&](int side) { Publish(chains[side], sides[side].first, sides[side].filter); };

  publish(0);
  publish(1);

  // At first each chain has objects of its own alone. Both follow the links from `shared` on.
  uint32_t foreign[2];  // the first link that belongs to the other chain
  for (const int side : {0, 1}) {
    foreign[side] = sides[side].first;
    while (foreign[side] != kNoLink && side_of(foreign[side]) == side) foreign[side] = next_of(foreign[side]);
  }
  uint32_t link = foreign[0];
  while (link != kNoLink && link != foreign[1]) link = next_of(link);
  const uint32_t shared = link == foreign[1] ? foreign[0] : foreign[1];
  for (const int side : {0, 1})
    for (link = sides[side].first; link != shared; link = next_of(link)) sides[side].last = link;
  const auto skip_to = [&](int side, uint32_t to) {
    if (sides[side].last == kNoLink) return;  // the head says it
    std::atomic<uint32_t>& next = Linked(sides[side].last).next;
    if (next.load(std::memory_order_relaxed) == to) return;
    next.store(to, std::memory_order_release);
    publish(side);
  };
  for (link = shared; link != kNoLink;) {
    const uint32_t next = next_of(link);
    const int side = side_of(link);
    skip_to(side, link);
    sides[side].last = link;
    link = next;
  }
  for (const int side : {0, 1}) skip_to(side, kNoLink);
}

bool IndexChains::Repair(const std::function<bool(uint32_t entry)>& linked) {
  const uint32_t bound = header_->entry_bound.load(std::memory_order_relaxed);
  // Calls `each` with the links of a chain; false where it leads out of the index or in a circle.
  const auto walk = [&](uint32_t chain, const auto& each) {
    uint32_t steps = 0;
    for (uint32_t link = FirstLinkOf(HeadOf(chain).load(std::memory_order_relaxed)); link != kNoLink;
         link = Linked(link).next.load(std::memory_order_relaxed))
      if (link > bound || steps++ >= bound || !each(link)) return false;
    return true;
  };
  if (const uint32_t added = chain_count_ - 1; added > 0) {
    const auto any = [](uint32_t) { return true; };
    if (!walk(added, any) || !walk(added - std::bit_floor(added), any)) return false;
    EndSplit(added);
  }
  for (uint32_t chain = 0; chain < chain_count_; ++chain) {
    const auto own = [&](uint32_t link) {
      return ChainOf(IndexHash(IdOf(Linked(link))), chain_count_) == chain && linked(link - 1);
    };
    if (!walk(chain, own)) return false;
  }
  return true;
}

}  // namespace raylet::store
