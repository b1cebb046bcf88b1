#include "store/client_quotas.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/counted.h"
#include "base/strings.h"

namespace raylet::store {
namespace {

// As a stream prints it.
std::string Percent(uint64_t part, uint64_t whole) {
  char text[32];
  std::snprintf(text, sizeof text, "%g%%",
                whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole));
  return text;
}

}  // namespace

Result<void> ClientQuotas::Set(uint32_t client, const std::string& name, uint64_t bytes) {
  if (const auto had = quotas_.find(client); had != quotas_.end())
    return Fail(ErrorCode::kFull, StrCat("client ", client, " has a quota of ", had->second.bytes,
                                         " bytes already, and a quota does not change: connect anew for another one"));
  const uint64_t most = capacity_bytes_ / 100 * kQuotasPercentMax + capacity_bytes_ % 100 * kQuotasPercentMax / 100;
  if (bytes > most || quota_bytes_ > most - bytes)
    return Fail(ErrorCode::kFull, StrCat("a quota of ", bytes, " bytes for client ", client, ": all quotas have ",
                                         quota_bytes_, " bytes, and may have ", most, " of ", capacity_bytes_,
                                         "; say a smaller one, or start plasma_store with a larger -m"));
  quota_bytes_ += bytes;
  quotas_[client] = {.name = name, .bytes = bytes, .used_bytes = 0, .objects = 0, .order = {}};
  return {};
}

void ClientQuotas::RemoveClient(uint32_t client) {
  const auto it = quotas_.find(client);
  if (it == quotas_.end()) return;
  while (!it->second.order.empty()) GiveToAll(it->second.order.first());
  quota_bytes_ -= it->second.bytes;
  quotas_.erase(it);
}

Result<void> ClientQuotas::CheckFits(uint32_t client, uint64_t bytes) const {
  const auto it = quotas_.find(client);
  if (it == quotas_.end() || bytes <= it->second.bytes) return {};
  return Fail(ErrorCode::kTooLarge,
              StrCat("ObjectTooLarge: an object of ", Counted(bytes, "byte"), ", and the quota of client ", client,
                     " is ", it->second.bytes, ": say a larger one at its start"));
}

uint64_t ClientQuotas::Missing(uint32_t client, uint64_t bytes) const {
  const auto it = quotas_.find(client);
  if (it == quotas_.end()) return 0;
  const uint64_t wanted = it->second.used_bytes + bytes;
  return wanted - std::min(wanted, it->second.bytes);
}

uint32_t ClientQuotas::Oldest(uint32_t client) const {
  const auto it = quotas_.find(client);
  return it == quotas_.end() ? kNoEntry : it->second.order.first();
}

void ClientQuotas::Created(uint32_t client, uint32_t entry) {
  const auto it = quotas_.find(client);
  if (it == quotas_.end()) return;
  notes_[entry].under_quota = true;
  it->second.used_bytes += index_.FieldsOf(entry).bytes();
  ++it->second.objects;
}

void ClientQuotas::Leave(uint32_t entry) {
  Quota& quota = QuotaOf(entry);
  EntryNote& note = notes_[entry];
  note.under_quota = false;
  quota.used_bytes -= index_.FieldsOf(entry).bytes();
  --quota.objects;
  if (note.evictable) quota.order.Remove(notes_, entry);
  note.evictable = false;
}

void ClientQuotas::GiveToAll(uint32_t entry) {
  const bool sealed = notes_[entry].evictable;
  Leave(entry);
  if (sealed) Add(entry);
}

void ClientQuotas::Aborted(uint32_t entry) {
  if (notes_[entry].under_quota) Leave(entry);
}

void ClientQuotas::Add(uint32_t entry) {
  if (notes_[entry].under_quota) {
    notes_[entry].evictable = true;
    QuotaOf(entry).order.Append(notes_, entry);
    return;
  }
  spills_all_ ? spill_order_.Add(entry) : policy_.Add(entry);
}

void ClientQuotas::Released(uint32_t entry) {
  if (!notes_[entry].under_quota) return policy_.Released(entry);
  if (!notes_[entry].evictable) return;
  StateList& order = QuotaOf(entry).order;
  order.Remove(notes_, entry);
  order.Append(notes_, entry);
}

void ClientQuotas::Remove(uint32_t entry) {
  if (notes_[entry].under_quota) return Leave(entry);
  policy_.Remove(entry);
}

std::string ClientQuotas::Text(const std::function<void(const std::function<void(uint32_t)>&)>& pinned) const {
  uint64_t pinned_under_quota = 0, pinned_objects = 0, pinned_bytes = 0;
  pinned([&](uint32_t entry) {
    if (notes_[entry].under_quota) ++pinned_under_quota;
    if (!EvictionPolicy::Has(notes_[entry])) return;
    ++pinned_objects;
    pinned_bytes += index_.FieldsOf(entry).bytes();
  });
  uint64_t under_quota = 0;
  for (const auto& [client, quota] : quotas_) under_quota += quota.objects;
  const auto order = [](const std::string& name, uint64_t capacity, uint64_t used, uint64_t objects) {
    return StrCat("\n(", name, ") capacity: ", capacity, "\n(", name, ") used: ", Percent(used, capacity), "\n(", name,
                  ") num objects: ", objects);
  };
  std::string text = StrCat("num clients with quota: ", quotas_.size(), "\nquota map size: ", under_quota,
                            "\npinned quota map size: ", pinned_under_quota);
  text += order("global lru", capacity_bytes_ - quota_bytes_, policy_.bytes() - pinned_bytes,
                policy_.size() - pinned_objects);
  for (const auto& [client, quota] : quotas_) text += order(quota.name, quota.bytes, quota.used_bytes, quota.objects);
  return text;
}

}  // namespace raylet::store
