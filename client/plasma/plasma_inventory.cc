// The methods of PlasmaClient that describe objects.
#include <bit>
#include <cstring>
#include <memory>
#include <utility>

#include "base/counted.h"
#include "base/strings.h"
#include "client/plasma/plasma_client_impl.h"

namespace plasma {

namespace client = raylet::client;
using client::FromPublic;
using client::ToStatus;
using raylet::StrCat;

namespace {

constexpr int64_t kDiskPatienceMs = 30'000;

uint64_t Digest(uint64_t digest, std::span<const std::byte> bytes) {
  constexpr uint64_t kFirst = 0xff51afd7ed558ccdULL, kSecond = 0xc4ceb9fe1a85ec53ULL;
  digest ^= bytes.size() * kSecond;
  for (size_t i = 0; i < bytes.size(); i += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, std::min(sizeof word, bytes.size() - i));
    digest = std::rotl((digest ^ word) * kFirst, 29) * kSecond;
  }
  return digest ^ digest >> 32;
}

}  // namespace

Status PlasmaClient::List(ObjectTable* objects) {
  const auto store = impl_->Store();
  if (!store) return ToStatus(store.error());
  const auto listed = (*store)->ListWithUses();
  if (!listed) return ToStatus(listed.error());
  objects->clear();
  for (const client::ObjectInfo& info : *listed) {
    auto entry = std::make_unique<ObjectTableEntry>();
    entry->data_size = static_cast<int64_t>(info.data_bytes);
    entry->metadata_size = static_cast<int64_t>(info.metadata_bytes);
    entry->create_time = static_cast<int64_t>((*store)->started_unix_ms() + info.created_ms) / 1000;
    entry->ref_count = static_cast<int>(info.clients);
    entry->construct_duration = info.sealed ? static_cast<int64_t>(info.constructed_s) : -1;
    entry->state = info.sealed ? ObjectState::PLASMA_SEALED : ObjectState::PLASMA_CREATED;
    (*objects)[client::ToPublic(info.id)] = std::move(entry);
  }
  return Status::OK();
}

bool PlasmaClient::IsInUse(const ObjectID& object_id) {
  const auto connection = impl_->Connected();
  if (!connection) return false;
  if ((*connection)->Writes(object_id)) return true;
  return (*connection)->store->Pins(FromPublic(object_id)).value_or(false);
}

Status PlasmaClient::Hash(const ObjectID& object_id, uint8_t* digest) {
  const auto store = impl_->Store();
  if (!store) return ToStatus(store.error());
  const auto view = (*store)->GetHere(FromPublic(object_id), raylet::Deadline::AfterMs(kDiskPatienceMs));
  if (!view) return ToStatus(view.error());
  if (!view->has_value())
    return {StatusCode::PlasmaObjectNotFound, StrCat("there is no sealed object ", object_id.hex(), " to hash")};
  const uint64_t value = Digest(Digest(0, (*view)->data()), (*view)->metadata());
  std::memcpy(digest, &value, sizeof value);
  return Status::OK();
}

std::string PlasmaClient::DebugString() {
  if (impl_->InChild()) return ToStatus(Impl::Refuse().value()).ToString();
  const auto connection = impl_->Connected();
  if (!connection) return "plasma client: not connected";
  client::StoreClient& store = *(*connection)->store;
  const auto listed = store.List();
  if (!listed) return ToStatus(listed.error()).ToString();
  const auto text = store.DebugText();
  if (!text) return ToStatus(text.error()).ToString();
  uint64_t sealed = 0, bytes = 0;
  for (const client::ObjectInfo& info : *listed) {
    sealed += info.sealed ? 1 : 0;
    bytes += info.data_bytes + info.metadata_bytes;
  }
  return StrCat("plasma client ", store.client_number(), " of the store at ", store.socket_path(), ": ",
                raylet::FormatBytes(bytes), " of ", raylet::FormatBytes(store.capacity_bytes()), " in ",
                raylet::Counted(listed->size(), "object"), ", ", sealed, " sealed; this client writes ",
                (*connection)->writing(), " and holds ", (*connection)->held.size(), "\n", *text);
}

}  // namespace plasma
