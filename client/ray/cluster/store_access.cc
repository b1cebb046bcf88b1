#include "client/ray/cluster/store_access.h"

#include <cstring>
#include <span>
#include <utility>

#include "base/strings.h"

namespace raylet::client {
namespace {

tl::unexpected<Error> Closed() {
  return Fail(ErrorCode::kDisconnected, "Ray has been shut down in this process, and its store is closed");
}

std::span<const std::byte> BytesOf(std::string_view text) { return std::as_bytes(std::span(text)); }

}  // namespace

void StoreAccess::Close() {
  std::shared_ptr<StoreClient> last;
  const MutexLock lock(mutex_);
  last.swap(client_);
}

std::shared_ptr<StoreClient> StoreAccess::Client() const {
  const MutexLock lock(mutex_);
  return client_;
}

// `create` asks the store with these options. If there is no room, the call is repeated and waits for some. Replies are
// taken meanwhile, since their calls may hold the objects that fill the store.
template <class Create>
auto StoreAccess::CreateWithPatience(CreateOptions& options, int64_t room_patience_ms, Create create) {
  options.timeout_ms = 0;
  auto created = create();
  if (created || created.error().code != ErrorCode::kFull || room_patience_ms <= 0) return created;
  progress_.Add();
  options.timeout_ms = room_patience_ms;
  created = create();
  progress_.Remove();
  return created;
}

Result<void> StoreAccess::Write(const ObjectId& id, const ValueBytes& value, std::string_view metadata,
                                uint32_t owner_client, int64_t room_patience_ms) {
  const auto client = Client();
  if (client == nullptr) return Closed();
  CreateOptions options;
  options.owned = true;
  options.owner = owner_client;
  auto written = CreateWithPatience(options, room_patience_ms, [&]() -> Result<void> {
    if (value.rest.empty()) return client->CreateAndSeal(id, BytesOf(value.first), BytesOf(metadata), options);
    auto writer = client->Create(id, value.size(), BytesOf(metadata), options);
    if (!writer) return Fail(std::move(writer).error());
    std::byte* const data = writer->data().data();
    std::memcpy(data, value.first.data(), value.first.size());
    std::memcpy(data + value.first.size(), value.rest.data(), value.rest.size());
    return std::move(*writer).Seal();
  });
  // A store that was stopped may seal it yet. Nobody else makes an object of this id.
  if (!written && written.error().code == ErrorCode::kTimedOut)
    static_cast<void>(client->DeleteAsync(std::span(&id, 1)));  // a store that is gone holds nothing
  return written;
}

Result<ObjectWriter> StoreAccess::CreateArray(const ObjectId& id, size_t bytes) {
  const auto client = Client();
  if (client == nullptr) return Closed();
  CreateOptions options;
  options.owned = true;
  return CreateWithPatience(options, kRoomPatienceMs, [&] { return client->Create(id, bytes, {}, options); });
}

Result<PinnedObject> StoreAccess::Fetch(const ObjectId& id, Deadline deadline, bool may_be_sealed) {
  const auto client = Client();
  if (client == nullptr) return Closed();
  bool on_disk = false;
  auto here = client->TryGet(id, &on_disk);
  if (!here) return Fail(here.error());
  if (here->has_value()) return **std::move(here);
  const bool clustered = link_.clustered();
  if (!may_be_sealed && !on_disk && !clustered)
    return Fail(ErrorCode::kNotFound, StrCat("object ", id.hex(), " is lost: the store does not have it any more"));
  const ProcessId owner = OwnerOf(id);
  Result<PinnedObject> view;
  FailurePtr lost;
  {
    const BlockedThreads::Scope blocked(blocked_);
    WantedObjects::Scope wants(wanted_, {id}, /*in_wait=*/false);
    const auto alive = [&] {
      wants.AskAgain([](const ObjectId&) { return true; });  // this thread has just looked into the store
      return link_.Usable() && !link_.Gone() && !IsLost(id);
    };
    view = client->Get(id, deadline, alive);
    lost = wanted_.WhyLost(id);
  }
  if (view || view.error().code != ErrorCode::kCancelled) return view;
  link_.CheckUsable();
  here = client->GetHere(id, deadline);  // the owner may have ended just after it had sealed the object
  if (!here) return Fail(here.error());
  if (here->has_value()) return **std::move(here);
  if (lost != nullptr && !ownership_.IsDead(owner)) return Fail(ErrorCode::kNotFound, lost->message);
  return Fail(ErrorCode::kNotFound, StrCat("object ", id.hex(), " is lost: ", ownership_.WhyDead(owner)));
}

// Whether an object that is not in this machine's store will never come. Nobody makes objects of an ended owner any
// more. Those that it had made lie here, or on another machine, whose raylet knows them.
bool StoreAccess::IsLost(const ObjectId& id) const {
  const ProcessId owner = OwnerOf(id);
  if (link_.clustered() ? ownership_.IsMachineLost(owner) : ownership_.IsDead(owner)) return true;
  return wanted_.WhyLost(id) != nullptr;
}

Result<bool> StoreAccess::Contains(const ObjectId& id) const {
  const auto client = Client();
  if (client == nullptr) return Closed();
  return client->Contains(id);
}

bool StoreAccess::Disconnected() const {
  const auto client = Client();
  return client == nullptr || client->Disconnected();
}

Result<ErrorCode> StoreAccess::DeleteHere(const ObjectId& id) {
  const auto client = Client();
  if (client == nullptr) return Closed();
  const auto deleted = client->Delete(std::span(&id, 1));
  if (!deleted) return Fail(deleted.error());
  return deleted->front();
}

void StoreAccess::Delete(const ObjectId& id) {
  const auto client = Client();
  if (client == nullptr) return;
  static_cast<void>(client->DeleteAsync(std::span(&id, 1)));  // a store that is gone holds nothing
  if (!link_.clustered()) return;
  wire::FreeNoticeT notice;
  notice.objects.push_back(ToWire(id));
  link_.Post(wire::RayletMessage::FreeObjects, notice);  // a raylet that is gone frees all of ours
}

}  // namespace raylet::client
