#include "store/recovery.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "base/waiter.h"
#include "fbs/put_page.h"

namespace raylet::store {
namespace {

tl::unexpected<Error> Damaged(const Error& why) {
  return Fail(ErrorCode::kProtocolError, StrCat("the memory of the objects is damaged: ", why.message));
}

}  // namespace

Result<void> Recovery::Run(std::span<const ClientPage> pages) {
  IndexHeader& header = store_.table_.index.header();
  IndexCounters& counters = header.counters;
  if (counters.mutation_seq.load() % 2 == 1) counters.mutation_seq.fetch_add(1);  // the earlier daemon's last
  // Before anything is freed: no client writes into a leased run from now on, but those that say so in their pages.
  header.restarts.fetch_add(1, std::memory_order_seq_cst);
  const Transaction transaction = store_.table_.Begin();
  for (auto* counter :
       {&counters.sealed_bytes, &counters.sealed_count, &counters.unsealed_bytes, &counters.unsealed_count,
        &counters.dying_bytes, &counters.dying_count, &counters.spilled_bytes, &counters.spilled_count,
        &counters.restoring_bytes, &counters.watched_ids, &counters.leased_bytes})
    counter->store(0, std::memory_order_relaxed);
  store_.table_.clients.Adopt();
  for (const ClientPage& page : pages)
    if (store_.table_.clients.Has(page.client)) store_.table_.pins.AddClient(page.client, page.page);
  if (!store_.table_.index.Repair())
    return Damaged({ErrorCode::kProtocolError, "the index has a link that leads astray"});
  store_.table_.compactor.Adopt();
  auto places = PlacesOfAll();
  if (!places) return Damaged(places.error());
  AddWriting(pages, *places);
  if (const auto adopted = store_.table_.arena.Adopt(*std::move(places), store_.table_.index_memory.lent_bytes(),
                                                     header.has_lent.load() != 0);
      !adopted)
    return adopted.error().code == ErrorCode::kFull ? Fail(adopted.error()) : Damaged(adopted.error());

  std::vector<uint32_t> in_order;
  for (uint32_t entry = 0; entry < store_.table_.index.bound(); ++entry)
    if (store_.table_.index.StateOf(entry) != EntryState::kEmpty) AdoptEntry(entry, in_order);
  std::sort(in_order.begin(), in_order.end(), [this](uint32_t a, uint32_t b) {
    const uint64_t a_ms = store_.table_.index.FieldsOf(a).created_ms, b_ms = store_.table_.index.FieldsOf(b).created_ms;
    return a_ms != b_ms ? a_ms < b_ms : a < b;
  });
  for (const uint32_t entry : in_order) store_.table_.Sealed(entry);
  store_.table_.ReadAllTouches();
  // The earlier daemon may have sealed an object and not woken those that wait for it.
  for (uint32_t bucket = 0; bucket < kBucketCount; ++bucket) {
    auto& seals = header.buckets[static_cast<std::ptrdiff_t>(bucket)];
    seals.fetch_add(1, std::memory_order_seq_cst);
    FutexWakeAll(&seals);
  }
  return {};
}

Result<std::vector<Arena::Place>> Recovery::PlacesOfAll() const {
  std::vector<Arena::Place> places;
  places.reserve(store_.table_.index.used());
  const auto add = [&](uint32_t entry, uint64_t offset) {
    const ObjectIndex::Fields object = store_.table_.index.FieldsOf(entry);
    if (object.data_bytes > store_.table_.arena.arena_bytes() ||
        object.metadata_bytes > store_.table_.arena.arena_bytes())
      return false;
    places.push_back({offset, AlignUp(object.data_bytes) + object.metadata_bytes});
    return true;
  };
  for (uint32_t entry = 0; entry < store_.table_.index.bound(); ++entry)
    if (store_.table_.index.StateOf(entry) != EntryState::kEmpty &&
        !IsOnDisk(store_.table_.index.FieldsOf(entry).offset) &&
        !add(entry, store_.table_.index.FieldsOf(entry).offset))
      return Fail(ErrorCode::kProtocolError,
                  StrCat("object ", store_.table_.index.IdOf(entry).hex(), " is larger than the store"));
  for (const Compactor::Place& place : store_.table_.compactor.old_places()) add(place.entry, place.offset);
  return places;
}

// A run that holds an object by now was posted, and needs nothing more. Nor does one that is no run of ours.
void Recovery::AddWriting(std::span<const ClientPage> pages, std::vector<Arena::Place>& places) {
  std::map<uint64_t, uint64_t> taken;  // from each offset to the end of its memory
  for (const ClientPage& page : pages) {
    const uint64_t word = page.page->writing.load(std::memory_order_seq_cst);
    const uint64_t offset = word / kAlignment * kAlignment, put_class = word % kAlignment - 1;
    if (word == 0 || put_class >= kPutClasses || !store_.table_.clients.Has(page.client)) continue;
    const uint64_t end = offset + PutClassBytes(static_cast<uint32_t>(put_class));
    if (end < offset || end > store_.table_.arena.arena_bytes()) continue;
    if (taken.empty())
      for (const Arena::Place& place : places)
        taken[place.offset] =
            place.offset + (store_.table_.arena.HasPagesOfItsOwn(place.bytes) ? PageUp(place.bytes) : place.bytes);
    const auto after = taken.upper_bound(offset);
    if (after != taken.end() && after->first < end) continue;
    if (after != taken.begin() && std::prev(after)->second > offset) continue;
    if (taken.contains(offset)) continue;
    taken[offset] = end;
    places.push_back({offset, end - offset});
    store_.writing_[page.client] = offset;
  }
}

// `in_order` gets those that have a place in the order of eviction or of spilling.
void Recovery::AdoptEntry(uint32_t entry, std::vector<uint32_t>& in_order) {
  ObjectTable& table = store_.table_;
  const ObjectIndex::Fields object = table.index.FieldsOf(entry);
  EntryNote& note = table.notes[entry];
  table.Adopt(entry);
  const bool owner_has_gone = object.owned && table.index.OwnerOf(entry) == 0;
  switch (table.index.StateOf(entry)) {
    case EntryState::kUnsealed:
      if (ObjectTable::Client* const creator = table.clients.Find(object.creator)) {
        note.deleted = table.index.IsDeleted(entry);
        note.orphan = owner_has_gone;
        creator->unsealed.Append(table.notes, entry);
        Add(creator->row->unsealed_bytes, object.bytes());
      } else {
        table.Kill(entry);
      }
      break;
    case EntryState::kSealed:
      if (owner_has_gone) {
        table.Kill(entry);
      } else if (table.index.IsDeleted(entry)) {
        note.deleted = true;
        table.dying_.Append(table.notes, entry);
      } else {
        in_order.push_back(entry);
      }
      break;
    case EntryState::kSpilled:
      if (owner_has_gone) table.Kill(entry);
      break;
    case EntryState::kDeleted:
      note.deleted = true;
      table.dying_.Append(table.notes, entry);
      break;
    case EntryState::kDying: table.dying_.Append(table.notes, entry); break;
    case EntryState::kEmpty: break;
  }
}

std::vector<ObjectId> Recovery::OwnedBy(uint32_t client) const {
  std::vector<ObjectId> owned;
  const auto owner = store_.table_.clients.all().find(client);
  if (owner == store_.table_.clients.all().end()) return owned;
  for (uint32_t entry = owner->second.owned.first(); entry != kNoEntry;
       entry = OwnerList::After(store_.table_.notes, entry))
    if (store_.table_.index.StateOf(entry) == EntryState::kSealed) owned.push_back(store_.table_.index.IdOf(entry));
  return owned;
}

void Recovery::LoseUnsealed(uint32_t number) {
  ObjectTable::Client* const client = store_.table_.clients.Find(number);
  if (client == nullptr || client->unsealed.empty()) return;
  const Transaction transaction = store_.table_.Begin();
  while (!client->unsealed.empty()) store_.table_.Lose(client->unsealed.first());
  store_.table_.SweepDying();
}

}  // namespace raylet::store
