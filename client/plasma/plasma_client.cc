#include <plasma/client.h>

#include <errno.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <new>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/fork_generation.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "client/plasma/held_objects.h"
#include "client/plasma/plasma_buffers.h"
#include "client/plasma/plasma_status.h"
#include "client/plasma/plasma_views.h"
#include "client/plasma/read_mostly.h"
#include "client/plasma/store_client.h"

namespace plasma {

namespace client = raylet::client;
using client::FromPublic;
using client::StatusOf;
using client::ToStatus;
using raylet::Deadline;
using raylet::ErrorCode;
using raylet::Result;
using raylet::StrCat;

namespace {

constexpr int kRetriesByDefault = 80;
constexpr int64_t kRetryMs = 100;
constexpr raylet::Duration kRetryPause = std::chrono::milliseconds(5);  // short, since a starting daemon is ready soon
constexpr raylet::Duration kAnswerPatience = std::chrono::seconds(5);
// Beyond a deadline of the caller's; 300 ms less than what we promise.
constexpr raylet::Duration kLateAnswerPatience = std::chrono::milliseconds(700);

std::span<const std::byte> AsBytes(const std::string& text) { return std::as_bytes(std::span(text)); }

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

class PlasmaClient::Impl {
 public:
  struct Unsealed {
    std::shared_ptr<Creation> creation;
    std::weak_ptr<Buffer> buffer;  // the caller's
  };

  // What goes with one connection. A thread that is inside of a call keeps it until it returns.
  struct Connection {
    explicit Connection(std::shared_ptr<client::StoreClient> connected) : store(std::move(connected)) {}
    const std::shared_ptr<client::StoreClient> store;
    client::HeldObjects held;
    raylet::Mutex mutex;  // never held while waiting for the daemon
    std::unordered_map<ObjectID, Unsealed> unsealed RAYLET_GUARDED_BY(mutex);
  };

  // A child of the process that connected touches none of these fields. A thread that does not exist in the child may
  // hold the lock, or may have been changing the guarded fields. A client that is not connected is nobody's.
  bool InChild() const {
    const uint64_t owner = owner_.load(std::memory_order_relaxed);
    return owner != 0 && owner != raylet::ForkGeneration() + 1;
  }
  static tl::unexpected<raylet::Error> Refuse() {
    return raylet::Fail(ErrorCode::kForked,
                        "this process was forked from the one that connected this client: use another one in the "
                        "child, or fork before connecting");
  }
  void SetOwned() {
    raylet::CountForks();
    owner_.store(raylet::ForkGeneration() + 1, std::memory_order_relaxed);
  }
  void SetUnowned() { owner_.store(0, std::memory_order_relaxed); }

  static tl::unexpected<raylet::Error> NotConnected() {
    return raylet::Fail(ErrorCode::kDisconnected, "this client is not connected: call Connect first");
  }
  Result<std::shared_ptr<Connection>> Connected() const {
    if (InChild()) return Refuse();
    auto connection = connection_.Get();
    if (connection == nullptr) return NotConnected();
    return connection;
  }
  Result<std::shared_ptr<client::StoreClient>> Store() const {
    const auto connection = Connected();
    if (!connection) return raylet::Fail(connection.error());
    return (*connection)->store;
  }

  // Takes the creation of `id` out of the table. Says why where there is none.
  static Result<Unsealed> Take(Connection& connection, const ObjectID& id, bool only_unheld) {
    {
      const raylet::MutexLock lock(connection.mutex);
      if (const auto it = connection.unsealed.find(id); it != connection.unsealed.end()) {
        if (only_unheld && !it->second.buffer.expired() &&
            connection.held.HoldsCreation(FromPublic(id), it->second.creation.get()))
          return raylet::Fail(ErrorCode::kInvalid,
                              StrCat("object ", id.hex(), " cannot be aborted while its buffer is ",
                                     "held: drop the buffer or release the object first"));
        Unsealed unsealed = std::move(it->second);
        connection.unsealed.erase(it);
        return unsealed;
      }
    }
    const auto object = connection.store->Describe(FromPublic(id));
    if (!object) return raylet::Fail(object.error());
    if (!object->has_value())
      return raylet::Fail(ErrorCode::kNotFound, StrCat("there is no object ", id.hex(), ": create it first"));
    if ((*object)->sealed) return raylet::Fail(kSealedAlready, StrCat("object ", id.hex(), " is sealed already"));
    return raylet::Fail(ErrorCode::kInvalid, StrCat("object ", id.hex(), " is being written by client ",
                                                    (*object)->creator, ", not by this one"));
  }
  static Status StatusOfTake(const raylet::Error& error) {
    if (error.code == kSealedAlready) return {StatusCode::PlasmaObjectAlreadySealed, error.message};
    return ToStatus(error);
  }

  // Calls use(Connection&), which must not wait, without counting a reference: threads that count the same references
  // hold each other up.
  template <class Use>
  auto WithConnection(const Use& use) const -> decltype(use(std::declval<Connection&>())) {
    if (InChild()) return Refuse();
    return connection_.With([&](Connection* connection) -> decltype(use(*connection)) {
      if (connection == nullptr) return NotConnected();
      return use(*connection);
    });
  }

  // Fills the views of the objects that are there, or come in time.
  Status GetAll(std::span<const ObjectID> ids, int64_t timeout_ms, std::span<client::PinnedObject> views) const {
    const auto all = WithConnection([&](Connection& connection) -> Result<bool> {
      bool here = true;
      for (size_t i = 0; i < ids.size(); ++i) {
        auto view = connection.store->TryGet(FromPublic(ids[i]));
        if (!view) return raylet::Fail(std::move(view).error());
        here = here && view->has_value();
        if (view->has_value()) views[i] = **std::move(view);
      }
      return here;
    });
    if (!all) return ToStatus(all.error());
    if (*all || timeout_ms == 0) return Status::OK();
    const Deadline deadline = Deadline::AfterMs(timeout_ms);
    const auto store = Store();
    if (!store) return ToStatus(store.error());
    std::vector<raylet::ObjectId> wanted;
    wanted.reserve(ids.size());
    for (const ObjectID& id : ids) wanted.push_back(FromPublic(id));
    const auto got = (*store)->GetAll(wanted, views, deadline);
    return got || got.error().code == ErrorCode::kTimedOut ? Status::OK() : ToStatus(got.error());
  }

  static constexpr ErrorCode kSealedAlready = ErrorCode::kWrongState;

  std::atomic<uint64_t> owner_{0};  // ForkGeneration + 1 of the process that connects, or has connected; 0: none
  client::ReadMostly<Connection> connection_;
};

PlasmaClient::PlasmaClient() : impl_(std::make_unique<Impl>()) {}
PlasmaClient::~PlasmaClient() {
  if (impl_->InChild())
    static_cast<void>(impl_.release());  // its pins and connection are the parent's
  else
    (void)Disconnect();
}

Status PlasmaClient::Connect(const std::string& store_socket_name, const std::string& /*manager_socket_name*/,
                             int /*release_delay*/, int num_retries) {
  if (impl_->InChild()) return ToStatus(Impl::Refuse().value());
  const auto twice = [] { return Status::Invalid("this client is connected already: call Disconnect first"); };
  if (impl_->Connected()) return twice();
  impl_->SetOwned();
  const int retries = num_retries < 0 ? kRetriesByDefault : num_retries;
  const Deadline last_try = Deadline::AfterMs(retries * kRetryMs);
  for (;;) {
    auto store = client::StoreClient::Connect(store_socket_name, program_invocation_short_name,
                                              Deadline::After(kAnswerPatience), /*retry=*/false);
    if (store) {
      const bool first = impl_->connection_.Set(std::make_shared<Impl::Connection>(*std::move(store)));
      return first ? Status::OK() : twice();
    }
    if (store.error().code != ErrorCode::kNotRunning || last_try.Passed()) {
      impl_->SetUnowned();
      return ToStatus(store.error());
    }
    const timespec pause{0, static_cast<long>(last_try.Left(kRetryPause).count())};
    ::nanosleep(&pause, nullptr);
  }
}

Status PlasmaClient::Disconnect() {
  if (impl_->InChild()) return ToStatus(Impl::Refuse().value());
  // The holds and creations go with the connection, at the latest when the last thread has left its call.
  if (const auto connection = impl_->connection_.Take()) {
    impl_->SetUnowned();
    connection->store->Disconnect();
  }
  return Status::OK();
}

Status PlasmaClient::Create(const ObjectID& object_id, int64_t data_size, const uint8_t* metadata,
                            int64_t metadata_size, std::shared_ptr<Buffer>* data, int device_num, bool evict_if_full) {
  if (data == nullptr) return Status::Invalid("Create needs a place for the buffer, and was given none");
  if (data_size < 0 || metadata_size < 0 || (metadata == nullptr && metadata_size != 0))
    return Status::Invalid(
        StrCat("an object cannot have ", data_size, " bytes of data and ", metadata_size, " of metadata"));
  if (device_num != 0) return Status::Invalid(StrCat("device ", device_num, " is not there: objects live in device 0"));
  const auto connection = impl_->Connected();
  if (!connection) return ToStatus(connection.error());
  client::CreateOptions options;
  options.evict_if_full = evict_if_full;
  const auto id = FromPublic(object_id);
  auto writer = (*connection)
                    ->store->Create(id, static_cast<uint64_t>(data_size),
                                    std::as_bytes(std::span(metadata, static_cast<size_t>(metadata_size))), options);
  if (!writer) return ToStatus(writer.error());
  auto creation = std::make_shared<Creation>();
  creation->writer = *std::move(writer);
  *data = BufferOf(creation);
  (*connection)->held.AddCreation(id, creation);
  const raylet::MutexLock lock((*connection)->mutex);
  (*connection)->unsealed[object_id] = {std::move(creation), *data};
  return Status::OK();
}

Status PlasmaClient::Seal(const ObjectID& object_id) {
  const auto connection = impl_->Connected();
  if (!connection) return ToStatus(connection.error());
  auto unsealed = Impl::Take(**connection, object_id, false);
  if (!unsealed) return Impl::StatusOfTake(unsealed.error());
  Creation& creation = *unsealed->creation;
  const bool held = unsealed->creation.use_count() > 1;  // by its buffer, or until a Release
  if (!held) return StatusOf(std::move(creation.writer).Seal());
  auto view = std::move(creation.writer).SealAndView();
  if (!view) return ToStatus(view.error());
  creation.view = *std::move(view);
  return Status::OK();
}

Status PlasmaClient::Abort(const ObjectID& object_id) {
  const auto connection = impl_->Connected();
  if (!connection) return ToStatus(connection.error());
  auto unsealed = Impl::Take(**connection, object_id, true);
  if (!unsealed) return Impl::StatusOfTake(unsealed.error());
  (*connection)->held.ReleaseCreation(FromPublic(object_id), unsealed->creation.get());
  return StatusOf(std::move(unsealed->creation->writer).Abort());
}

Status PlasmaClient::CreateAndSeal(const ObjectID& object_id, const std::string& data, const std::string& metadata,
                                   bool evict_if_full) {
  const auto store = impl_->Store();
  if (!store) return ToStatus(store.error());
  client::CreateOptions options;
  options.evict_if_full = evict_if_full;
  return StatusOf((*store)->CreateAndSeal(FromPublic(object_id), AsBytes(data), AsBytes(metadata), options));
}

Status PlasmaClient::CreateAndSealBatch(const std::vector<ObjectID>& object_ids, const std::vector<std::string>& data,
                                        const std::vector<std::string>& metadata, bool evict_if_full) {
  if (data.size() != object_ids.size() || metadata.size() != object_ids.size())
    return Status::Invalid(StrCat("a batch of ", object_ids.size(), " ids came with ", data.size(), " data and ",
                                  metadata.size(), " metadata"));
  for (size_t i = 0; i < object_ids.size(); ++i) {
    if (auto status = CreateAndSeal(object_ids[i], data[i], metadata[i], evict_if_full); !status.ok()) return status;
  }
  return Status::OK();
}

ObjectWriter PlasmaClient::CreateWriter(const ObjectID& object_id, int64_t data_size,
                                        std::span<const std::byte> metadata, int64_t timeout_ms) {
  ObjectWriter out;
  if (data_size < 0) {
    out.status_ = Status::Invalid(StrCat("an object cannot have ", data_size, " bytes"));
    return out;
  }
  const auto store = impl_->Store();
  if (!store) {
    out.status_ = ToStatus(store.error());
    return out;
  }
  client::CreateOptions options;
  options.timeout_ms = timeout_ms;
  options.answer_patience = kLateAnswerPatience;
  auto writer = (*store)->Create(FromPublic(object_id), static_cast<uint64_t>(data_size), metadata, options);
  out.status_ = StatusOf(writer);
  if (!writer) return out;
  out.impl_ = std::make_unique<ObjectWriter::Impl>();
  out.impl_->writer = *std::move(writer);
  out.data_ = out.impl_->writer.data();
  out.metadata_ = out.impl_->writer.metadata();
  return out;
}

Status PlasmaClient::Get(const std::vector<ObjectID>& object_ids, int64_t timeout_ms,
                         std::vector<ObjectBuffer>* object_buffers) {
  std::vector<client::PinnedObject> views(object_ids.size());
  auto status = impl_->GetAll(object_ids, timeout_ms, views);
  if (!status.ok()) return status;
  object_buffers->clear();
  object_buffers->reserve(views.size());
  for (client::PinnedObject& view : views)
    object_buffers->push_back(view ? ReleasingBuffers(std::move(view)) : ObjectBuffer());
  return status;
}

Status PlasmaClient::Get(const ObjectID* object_ids, int64_t num_objects, int64_t timeout_ms,
                         ObjectBuffer* object_buffers) {
  if (num_objects < 0) return Status::Invalid(StrCat("cannot get ", num_objects, " objects"));
  const std::span ids(object_ids, static_cast<size_t>(num_objects));
  const auto hold = [&](Impl::Connection& connection, size_t i, client::PinnedObject view) {
    object_buffers[i] = PlainBuffers(view);
    connection.held.Add(FromPublic(ids[i]), std::move(view));
  };
  if (ids.size() == 1) {  // the most frequent case, with as few steps as may be
    const auto held = impl_->WithConnection([&](Impl::Connection& connection) -> Result<bool> {
      auto view = connection.store->TryGet(FromPublic(ids[0]));
      if (!view) return raylet::Fail(std::move(view).error());
      if (view->has_value()) hold(connection, 0, **std::move(view));
      return view->has_value();
    });
    if (!held) return ToStatus(held.error());
    if (*held) return Status::OK();
  }
  std::vector<client::PinnedObject> views(ids.size());
  auto status = impl_->GetAll(ids, timeout_ms, views);
  if (!status.ok()) return status;
  return StatusOf(impl_->WithConnection([&](Impl::Connection& connection) -> Result<void> {
    for (size_t i = 0; i < ids.size(); ++i) {
      object_buffers[i] = ObjectBuffer();
      if (views[i]) hold(connection, i, std::move(views[i]));
    }
    return {};
  }));
}

Status PlasmaClient::Release(const ObjectID& object_id) {
  const auto released = impl_->WithConnection(
      [&](Impl::Connection& connection) -> Result<bool> { return connection.held.Release(FromPublic(object_id)); });
  if (!released && released.error().code == ErrorCode::kDisconnected)
    return Status::OK();  // Disconnect has released everything
  if (!released) return ToStatus(released.error());
  if (*released) return Status::OK();
  return {StatusCode::PlasmaObjectNotFound, StrCat("this client holds no object ", object_id.hex())};
}

ObjectView PlasmaClient::GetView(const ObjectID& object_id, int64_t timeout_ms) {
  ObjectView out;
  const auto id = FromPublic(object_id);
  const auto found = [&](client::PinnedObject view) {
    out.data_ = view.data();
    out.metadata_ = view.metadata();
    new (out.place_) ObjectView::Impl{std::move(view)};
    out.held_ = true;
  };
  auto here = impl_->WithConnection([&](Impl::Connection& connection) { return connection.store->TryGet(id); });
  if (here && here->has_value()) [[likely]] {
    found(**std::move(here));
    return out;
  }
  const auto store = impl_->Store();
  if (!here || !store) {
    out.status_ = ToStatus(!here ? here.error() : store.error());
    return out;
  }
  auto view = (*store)->Get(id, Deadline::AfterMs(timeout_ms));
  out.status_ = StatusOf(view);
  if (view) found(*std::move(view));
  return out;
}

Status PlasmaClient::Contains(const ObjectID& object_id, bool* has_object) {
  const auto contains = impl_->WithConnection(
      [&](Impl::Connection& connection) { return connection.store->Contains(FromPublic(object_id)); });
  if (contains) *has_object = *contains;
  return StatusOf(contains);
}

Status PlasmaClient::List(ObjectTable* objects) {
  const auto store = impl_->Store();
  if (!store) return ToStatus(store.error());
  const auto listed = (*store)->List();
  if (!listed) return ToStatus(listed.error());
  objects->clear();
  for (const client::ObjectInfo& info : *listed) {
    auto entry = std::make_unique<ObjectTableEntry>();
    entry->data_size = static_cast<int64_t>(info.data_bytes);
    entry->metadata_size = static_cast<int64_t>(info.metadata_bytes);
    entry->create_time = static_cast<int64_t>((*store)->started_unix_ms() + info.created_ms) / 1000;
    entry->state = info.sealed ? ObjectState::PLASMA_SEALED : ObjectState::PLASMA_CREATED;
    (*objects)[client::ToPublic(info.id)] = std::move(entry);
  }
  return Status::OK();
}

Status PlasmaClient::Hash(const ObjectID& object_id, uint8_t* digest) {
  const auto store = impl_->Store();
  if (!store) return ToStatus(store.error());
  const auto view = (*store)->TryGet(FromPublic(object_id));
  if (!view) return ToStatus(view.error());
  if (!view->has_value())
    return {StatusCode::PlasmaObjectNotFound, StrCat("there is no sealed object ", object_id.hex(), " to hash")};
  const uint64_t value = Digest(Digest(0, (*view)->data()), (*view)->metadata());
  std::memcpy(digest, &value, sizeof value);
  return Status::OK();
}

Status PlasmaClient::Delete(const ObjectID& object_id) { return Delete(std::vector<ObjectID>{object_id}); }

Status PlasmaClient::Delete(const std::vector<ObjectID>& object_ids) {
  const auto store = impl_->Store();
  if (!store) return ToStatus(store.error());
  std::vector<raylet::ObjectId> ids;
  ids.reserve(object_ids.size());
  for (const ObjectID& id : object_ids) ids.push_back(FromPublic(id));
  const auto codes = (*store)->Delete(ids);
  if (!codes) return ToStatus(codes.error());
  for (size_t i = 0; i < ids.size(); ++i) {
    const ErrorCode code = (*codes)[i];
    if (code == ErrorCode::kOk || code == ErrorCode::kNotFound) continue;
    return ToStatus(
        {code, StrCat("object ", ids[i].hex(), " cannot be deleted: ", raylet::ErrorCodeName(code),
                      code == ErrorCode::kWrongState ? "; it is being written: seal or abort it first" : "")});
  }
  return Status::OK();
}

Status PlasmaClient::Evict(int64_t num_bytes, int64_t& num_bytes_evicted) {
  num_bytes_evicted = 0;
  if (num_bytes < 0) return Status::Invalid(StrCat("cannot evict ", num_bytes, " bytes"));
  const auto store = impl_->Store();
  if (!store) return ToStatus(store.error());
  const auto evicted = (*store)->Evict(static_cast<uint64_t>(num_bytes));
  if (evicted) num_bytes_evicted = static_cast<int64_t>(*evicted);
  return StatusOf(evicted);
}

Status PlasmaClient::Refresh(const std::vector<ObjectID>& object_ids) {
  const auto store = impl_->Store();
  if (!store) return ToStatus(store.error());
  std::vector<raylet::ObjectId> ids;
  ids.reserve(object_ids.size());
  for (const ObjectID& id : object_ids) ids.push_back(FromPublic(id));
  return StatusOf((*store)->Touch(ids));
}

std::string PlasmaClient::DebugString() {
  if (impl_->InChild()) return ToStatus(Impl::Refuse().value()).ToString();
  const auto connection = impl_->Connected();
  if (!connection) return "plasma client: not connected";
  client::StoreClient& store = *(*connection)->store;
  const auto listed = store.List();
  if (!listed) return ToStatus(listed.error()).ToString();
  uint64_t sealed = 0, bytes = 0;
  for (const client::ObjectInfo& info : *listed) {
    sealed += info.sealed ? 1 : 0;
    bytes += info.data_bytes + info.metadata_bytes;
  }
  const raylet::MutexLock lock((*connection)->mutex);
  return StrCat("plasma client ", store.client_number(), " of the store at ", store.socket_path(), ": ",
                raylet::FormatBytes(bytes), " of ", raylet::FormatBytes(store.capacity_bytes()), " in ", listed->size(),
                " objects, ", sealed, " sealed; this client writes ", (*connection)->unsealed.size(), " and holds ",
                (*connection)->held.size());
}

int64_t PlasmaClient::store_capacity() {
  const auto store = impl_->Store();
  return store ? static_cast<int64_t>((*store)->capacity_bytes()) : 0;
}

}  // namespace plasma
