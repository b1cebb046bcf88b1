#include "tools/objstat/verify.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/strings.h"

namespace raylet::objstat {
namespace {

constexpr uint64_t kLooksMost = 10;
constexpr size_t kFindingsMost = 100;  // of one look

// One look at everything.
class OneLook {
 public:
  explicit OneLook(const OpenIndex& open) : index_(open.index), header_(open.index.header()) {}

  std::vector<std::string> Take(Verification& out) {
    const std::atomic<uint64_t>& changes = header_.counters.mutation_seq;
    const uint64_t before = changes.load(std::memory_order_acquire);
    for (uint64_t number = 0; number < index_.entry_bound(); ++number)
      if (const auto entry = index_.Read(number)) entries_.push_back(*entry);
    ReadChains(out);
    CheckEntries();
    CheckCounters();
    std::atomic_thread_fence(std::memory_order_acquire);
    const uint64_t after = changes.load(std::memory_order_acquire);
    out.objects = entries_.size();
    out.consistent = before == after && before % 2 == 0;
    return std::move(findings_);
  }

 private:
  template <class... Parts>
  void Find(const Parts&... parts) {
    if (findings_.size() < kFindingsMost) findings_.push_back(StrCat(parts...));
  }

  static bool InAChain(EntryState state) {
    return state == EntryState::kUnsealed || state == EntryState::kSealed || state == EntryState::kDeleted ||
           state == EntryState::kSpilled;
  }

  // Each chain ends, and has the objects of its hash; its filter has all of them.
  void ReadChains(Verification& out) {
    const uint32_t chain_count = header_.chain_count.load(std::memory_order_acquire);
    out.chains = chain_count;
    chained_.assign(header_.entries_max, false);
    for (uint32_t chain = 0; chain < chain_count; ++chain) {
      const uint64_t head = header_.chains[static_cast<std::ptrdiff_t>(chain)].load(std::memory_order_acquire);
      for (uint32_t link = FirstLinkOf(head); link != kNoLink;) {
        if (link > header_.entries_max) {
          Find("chain ", chain, " leads to entry ", link - 1, ", and there are ", header_.entries_max);
          break;
        }
        if (chained_[link - 1]) {
          Find("entry ", link - 1, " stands twice in the chains, the second time in chain ", chain);
          break;
        }
        chained_[link - 1] = true;
        if (const auto entry = index_.Read(link - 1)) CheckPlace(*entry, chain, chain_count, head);
        link = header_.entries[static_cast<std::ptrdiff_t>(link - 1)].next.load(std::memory_order_acquire);
      }
    }
  }

  void CheckPlace(const client::EntrySnapshot& entry, uint32_t chain, uint32_t chain_count, uint64_t head) {
    const uint64_t hash = IndexHash(entry.id);
    if (ChainOf(hash, chain_count) != chain)
      Find("object ", entry.id.hex(), " stands in chain ", chain, " and belongs in ", ChainOf(hash, chain_count));
    if ((FilterOf(head) & FilterBit(hash)) == 0)
      Find("the filter of chain ", chain, " lacks object ", entry.id.hex(), ", so that no get finds it");
    if (!InAChain(entry.state())) Find("object ", entry.id.hex(), " is dying, and stands in chain ", chain, " still");
  }

  void CheckEntries() {
    std::vector<std::pair<ObjectId, uint64_t>> ids;  // of the objects that gets may find, with their entries
    std::ranges::sort(entries_, {}, &client::EntrySnapshot::offset);
    const client::EntrySnapshot* before = nullptr;
    uint64_t covered = 0;
    const uint64_t arena = header_.arena_bytes;
    for (const client::EntrySnapshot& entry : entries_) {
      if (InAChain(entry.state())) {
        if (!chained_[entry.entry]) Find("object ", entry.id.hex(), " stands in no chain, so that no get finds it");
        ids.emplace_back(entry.id, entry.entry);
      } else if (entry.state() != EntryState::kDying) {
        Find("object ", entry.id.hex(), " is in state ", static_cast<unsigned>(entry.state()),
             ", which does not exist");
      }
      if (entry.state() == EntryState::kSpilled && IsOnDisk(entry.offset)) continue;  // it has no memory
      if (IsOnDisk(entry.offset))
        Find("object ", entry.id.hex(), " is in state ", static_cast<unsigned>(entry.state()),
             ", and its place is on disk");
      if (entry.offset % kAlignment != 0)
        Find("object ", entry.id.hex(), " lies at ", entry.offset, ", no multiple of ", kAlignment);
      const bool inside = entry.data_bytes <= arena && entry.metadata_bytes <= arena && entry.offset <= arena &&
                          AlignUp(entry.data_bytes) + entry.metadata_bytes <= arena - entry.offset;
      if (!inside) {
        Find("object ", entry.id.hex(), " lies at ", entry.offset, " with ", entry.data_bytes, " and ",
             entry.metadata_bytes, " bytes, outside the arena of ", arena);
        continue;
      }
      if (before != nullptr && entry.offset < covered)
        Find("object ", entry.id.hex(), " overlaps object ", before->id.hex());
      covered = std::max(covered, entry.offset + PhysicalBytes(entry.data_bytes, entry.metadata_bytes));
      before = &entry;
    }
    std::ranges::sort(ids);
    for (size_t i = 1; i < ids.size(); ++i)
      if (ids[i].first == ids[i - 1].first)
        Find("object ", ids[i].first.hex(), " is there twice, in the entries ", ids[i - 1].second, " and ",
             ids[i].second);
  }

  void CheckCounters() {
    uint64_t bytes[4] = {}, counts[4] = {};
    for (const client::EntrySnapshot& entry : entries_) {
      const EntryState state = entry.state();
      const int part = state == EntryState::kSealed     ? 0
                       : state == EntryState::kUnsealed ? 1
                       : state == EntryState::kSpilled  ? 3
                                                        : 2;
      bytes[part] += entry.data_bytes + entry.metadata_bytes;
      ++counts[part];
    }
    const IndexCounters& counters = header_.counters;
    const auto compare = [this](const char* what, uint64_t seen, const std::atomic<uint64_t>& counter) {
      const uint64_t counted = counter.load(std::memory_order_acquire);
      if (seen != counted) Find(what, " are ", seen, ", and the daemon counts ", counted);
    };
    compare("the bytes of sealed objects", bytes[0], counters.sealed_bytes);
    compare("the sealed objects", counts[0], counters.sealed_count);
    compare("the bytes of unsealed objects", bytes[1], counters.unsealed_bytes);
    compare("the unsealed objects", counts[1], counters.unsealed_count);
    compare("the bytes of dying objects", bytes[2], counters.dying_bytes);
    compare("the dying objects", counts[2], counters.dying_count);
    compare("the bytes of spilled objects", bytes[3], counters.spilled_bytes);
    compare("the spilled objects", counts[3], counters.spilled_count);
  }

  const client::MappedIndex& index_;
  const IndexHeader& header_;
  std::vector<client::EntrySnapshot> entries_;
  std::vector<bool> chained_;  // by entry
  std::vector<std::string> findings_;
};

}  // namespace

Verification Verify(const OpenIndex& open) {
  Verification out;
  while (out.looks < kLooksMost && !out.consistent) {
    std::vector<std::string> findings = OneLook(open).Take(out);
    ++out.looks;
    if (out.looks == 1 || out.consistent) {
      out.findings = std::move(findings);
    } else {
      // A change of the store may only seem to break something: another look sees it whole.
      std::erase_if(out.findings,
                    [&](const std::string& finding) { return std::ranges::find(findings, finding) == findings.end(); });
    }
    // A busy store is as right as it can be seen to be.
    if (!out.consistent && out.findings.empty() && out.looks > 1) break;
  }
  return out;
}

std::string VerifyText(const Verification& verification, Look look) {
  const bool fine = verification.findings.empty();
  std::string out =
      StrCat(Objects(verification.objects), " and ", verification.chains,
             " chains: ", Paint(fine ? "all is right" : "not right", fine ? Colour::kGreen : Colour::kRed, look), "\n");
  for (const std::string& finding : verification.findings) out += StrCat("  ", finding, "\n");
  if (!verification.consistent)
    out += StrCat("  the store changed during each of ", verification.looks,
                  " looks: what all of them saw is shown, and the sums were not compared\n");
  return out;
}

nlohmann::json VerifyJson(const Verification& verification) {
  return {{"consistent", verification.consistent},
          {"looks", verification.looks},
          {"objects", verification.objects},
          {"chains", verification.chains},
          {"findings", verification.findings}};
}

}  // namespace raylet::objstat
