#include <plasma/client.h>

#include <errno.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "base/fork_generation.h"
#include "base/mutex.h"
#include "base/strings.h"
#include "client/plasma/plasma_status.h"
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

const uint8_t* Bytes(std::span<const std::byte> bytes) { return reinterpret_cast<const uint8_t*>(bytes.data()); }
std::span<const std::byte> AsBytes(const std::string& text) { return std::as_bytes(std::span(text)); }

// Bytes of a sealed object, and the pin that keeps them.
class PinnedBuffer final : public Buffer {
 public:
  PinnedBuffer(std::span<const std::byte> bytes, std::shared_ptr<const client::ObjectView> view)
      : Buffer(Bytes(bytes), static_cast<int64_t>(bytes.size())), view_(std::move(view)) {}

 private:
  const std::shared_ptr<const client::ObjectView> view_;
};

// An object between Create and the end of its buffer. Unsealed, it has the writer, which aborts when nobody holds the
// creation any more. Sealed while the buffer was held, it has a pin, so that the buffer's bytes stay.
struct Creation {
  client::ObjectWriter writer;
  client::ObjectView view;
};

class CreatedBuffer final : public MutableBuffer {
 public:
  explicit CreatedBuffer(std::shared_ptr<Creation> creation)
      : MutableBuffer(reinterpret_cast<uint8_t*>(creation->writer.data().data()),
                      static_cast<int64_t>(creation->writer.data().size())),
        creation_(std::move(creation)) {}

 private:
  const std::shared_ptr<Creation> creation_;
};

ObjectBuffer ToObjectBuffer(client::ObjectView view) {
  const auto shared = std::make_shared<const client::ObjectView>(std::move(view));
  ObjectBuffer buffer;
  buffer.data = std::make_shared<PinnedBuffer>(shared->data(), shared);
  buffer.metadata = std::make_shared<PinnedBuffer>(shared->metadata(), shared);
  return buffer;
}

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

// ---- views and writers
// ---------------------------------------------------------------------------------------------

struct ObjectView::Impl {
  client::ObjectView view;
};
ObjectView::ObjectView() = default;
ObjectView::ObjectView(ObjectView&& other) noexcept = default;
ObjectView& ObjectView::operator=(ObjectView&& other) noexcept = default;
ObjectView::~ObjectView() = default;

void ObjectView::Release() {
  impl_.reset();
  data_ = {};
  metadata_ = {};
}

struct ObjectWriter::Impl {
  client::ObjectWriter writer;
};
ObjectWriter::ObjectWriter() = default;
ObjectWriter::ObjectWriter(ObjectWriter&& other) noexcept = default;
ObjectWriter& ObjectWriter::operator=(ObjectWriter&& other) noexcept = default;
ObjectWriter::~ObjectWriter() = default;

Status ObjectWriter::Seal() && {
  const auto impl = std::move(impl_);
  if (impl == nullptr)
    return Status::Invalid("this writer holds no object: it failed, or was sealed or aborted before");
  return StatusOf(std::move(impl->writer).Seal());
}

Status ObjectWriter::Abort() && {
  const auto impl = std::move(impl_);
  if (impl == nullptr)
    return Status::Invalid("this writer holds no object: it failed, or was sealed or aborted before");
  return StatusOf(std::move(impl->writer).Abort());
}

// ---- the client
// ----------------------------------------------------------------------------------------------------

class PlasmaClient::Impl {
 public:
  struct Unsealed {
    std::shared_ptr<Creation> creation;
    std::weak_ptr<Buffer> buffer;  // the caller's
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

  Result<std::shared_ptr<client::StoreClient>> Store() const {
    if (InChild()) return Refuse();
    const raylet::MutexLock lock(mutex_);
    if (store_ != nullptr) return store_;
    return raylet::Fail(ErrorCode::kDisconnected, "this client is not connected: call Connect first");
  }

  // Takes the creation of `id` out of the table. Says why where there is none.
  Result<Unsealed> Take(const ObjectID& id, bool only_unheld) {
    if (InChild()) return Refuse();
    std::shared_ptr<client::StoreClient> store;
    {
      const raylet::MutexLock lock(mutex_);
      if (const auto it = unsealed_.find(id); it != unsealed_.end()) {
        if (only_unheld && !it->second.buffer.expired())
          return raylet::Fail(ErrorCode::kInvalid, StrCat("object ", id.hex(),
                                                          " cannot be aborted while its buffer is "
                                                          "held: drop the buffer first"));
        Unsealed unsealed = std::move(it->second);
        unsealed_.erase(it);
        return unsealed;
      }
      store = store_;
    }
    if (store == nullptr)
      return raylet::Fail(ErrorCode::kDisconnected, "this client is not connected: call Connect first");
    const auto object = store->Describe(FromPublic(id));
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

  Status Begin(std::shared_ptr<client::StoreClient> store) {
    const raylet::MutexLock lock(mutex_);
    store_ = std::move(store);
    return Status::OK();
  }

  // Waits at most until Disconnect, which another thread may call meanwhile.
  Result<client::ObjectView> WaitFor(const std::shared_ptr<client::StoreClient>& store, const ObjectID& id,
                                     Deadline deadline) const {
    const auto connected = [&] {
      const raylet::MutexLock lock(mutex_);
      return store_ == store;
    };
    auto view = store->Get(FromPublic(id), deadline, connected);
    if (view || view.error().code != ErrorCode::kCancelled) return view;
    return raylet::Fail(ErrorCode::kDisconnected,
                        StrCat("this client was disconnected while it waited for object ", id.hex()));
  }

  // One Get for each id; `take` is given the view, or nothing where it was not there in time.
  template <class TakeView>
  Status GetEach(std::span<const ObjectID> ids, int64_t timeout_ms, const TakeView& take) {
    const auto store = Store();
    if (!store) return ToStatus(store.error());
    const Deadline deadline = Deadline::AfterMs(timeout_ms);
    for (size_t i = 0; i < ids.size(); ++i) {
      auto view = WaitFor(*store, ids[i], deadline);
      if (!view && view.error().code != ErrorCode::kTimedOut) return ToStatus(view.error());
      if (view) take(i, *std::move(view));
    }
    return Status::OK();
  }

  static constexpr ErrorCode kSealedAlready = ErrorCode::kWrongState;

  std::atomic<uint64_t> owner_{0};  // ForkGeneration + 1 of the process that connects, or has connected; 0: none
  mutable raylet::Mutex mutex_;     // never held while waiting for the daemon
  std::shared_ptr<client::StoreClient> store_ RAYLET_GUARDED_BY(mutex_);
  std::unordered_map<ObjectID, Unsealed> unsealed_ RAYLET_GUARDED_BY(mutex_);
  // By the manual form of Get.
  std::unordered_multimap<ObjectID, client::ObjectView> held_ RAYLET_GUARDED_BY(mutex_);
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
  if (impl_->Store()) return Status::Invalid("this client is connected already: call Disconnect first");
  impl_->SetOwned();
  const int retries = num_retries < 0 ? kRetriesByDefault : num_retries;
  const Deadline last_try = Deadline::AfterMs(retries * kRetryMs);
  for (;;) {
    auto store = client::StoreClient::Connect(store_socket_name, program_invocation_short_name,
                                              Deadline::After(kAnswerPatience), /*retry=*/false);
    if (store) return impl_->Begin(*std::move(store));
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
  std::shared_ptr<client::StoreClient> store;
  std::unordered_map<ObjectID, Impl::Unsealed> unsealed;
  std::unordered_multimap<ObjectID, client::ObjectView> held;
  const raylet::MutexLock lock(impl_->mutex_);
  store.swap(impl_->store_);
  unsealed.swap(impl_->unsealed_);
  held.swap(impl_->held_);
  impl_->SetUnowned();
  return Status::OK();
}

Status PlasmaClient::Create(const ObjectID& object_id, int64_t data_size, const uint8_t* metadata,
                            int64_t metadata_size, std::shared_ptr<Buffer>* data, int device_num, bool evict_if_full) {
  if (data == nullptr) return Status::Invalid("Create needs a place for the buffer, and was given none");
  if (data_size < 0 || metadata_size < 0 || (metadata == nullptr && metadata_size != 0))
    return Status::Invalid(
        StrCat("an object cannot have ", data_size, " bytes of data and ", metadata_size, " of metadata"));
  if (device_num != 0) return Status::Invalid(StrCat("device ", device_num, " is not there: objects live in device 0"));
  const auto store = impl_->Store();
  if (!store) return ToStatus(store.error());
  client::CreateOptions options;
  options.evict_if_full = evict_if_full;
  auto writer = (*store)->Create(FromPublic(object_id), static_cast<uint64_t>(data_size),
                                 std::as_bytes(std::span(metadata, static_cast<size_t>(metadata_size))), options);
  if (!writer) return ToStatus(writer.error());
  auto creation = std::make_shared<Creation>();
  creation->writer = *std::move(writer);
  const auto buffer = std::make_shared<CreatedBuffer>(creation);
  *data = buffer;
  const raylet::MutexLock lock(impl_->mutex_);
  impl_->unsealed_[object_id] = {std::move(creation), buffer};
  return Status::OK();
}

Status PlasmaClient::Seal(const ObjectID& object_id) {
  auto unsealed = impl_->Take(object_id, false);
  if (!unsealed) return Impl::StatusOfTake(unsealed.error());
  Creation& creation = *unsealed->creation;
  if (unsealed->buffer.expired()) return StatusOf(std::move(creation.writer).Seal());
  auto view = std::move(creation.writer).SealAndView();
  if (!view) return ToStatus(view.error());
  creation.view = *std::move(view);
  return Status::OK();
}

Status PlasmaClient::Abort(const ObjectID& object_id) {
  auto unsealed = impl_->Take(object_id, true);
  if (!unsealed) return Impl::StatusOfTake(unsealed.error());
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
  std::vector<ObjectBuffer> buffers(object_ids.size());
  auto status = impl_->GetEach(
      object_ids, timeout_ms, [&](size_t i, client::ObjectView view) { buffers[i] = ToObjectBuffer(std::move(view)); });
  if (status.ok()) *object_buffers = std::move(buffers);
  return status;
}

Status PlasmaClient::Get(const ObjectID* object_ids, int64_t num_objects, int64_t timeout_ms,
                         ObjectBuffer* object_buffers) {
  if (num_objects < 0) return Status::Invalid(StrCat("cannot get ", num_objects, " objects"));
  const std::span ids(object_ids, static_cast<size_t>(num_objects));
  std::vector<client::ObjectView> views(ids.size());
  auto status = impl_->GetEach(ids, timeout_ms, [&](size_t i, client::ObjectView view) { views[i] = std::move(view); });
  if (!status.ok()) return status;
  const raylet::MutexLock lock(impl_->mutex_);
  for (size_t i = 0; i < ids.size(); ++i) {
    object_buffers[i] = ObjectBuffer();
    if (!views[i]) continue;
    const auto data = views[i].data(), metadata = views[i].metadata();
    object_buffers[i].data = std::make_shared<Buffer>(Bytes(data), static_cast<int64_t>(data.size()));
    object_buffers[i].metadata = std::make_shared<Buffer>(Bytes(metadata), static_cast<int64_t>(metadata.size()));
    impl_->held_.emplace(ids[i], std::move(views[i]));
  }
  return Status::OK();
}

Status PlasmaClient::Release(const ObjectID& object_id) {
  if (impl_->InChild()) return ToStatus(Impl::Refuse().value());
  std::shared_ptr<client::StoreClient> store;
  {
    const raylet::MutexLock lock(impl_->mutex_);
    if (const auto it = impl_->held_.find(object_id); it != impl_->held_.end()) {
      impl_->held_.erase(it);
      return Status::OK();
    }
    store = impl_->store_;
  }
  if (store == nullptr) return Status::OK();  // Disconnect has released everything
  // For programs that release the objects that they created, as older clients had to. Here the end of the buffer does
  // so.
  const auto object = store->Describe(FromPublic(object_id));
  if (!object) return ToStatus(object.error());
  if (object->has_value() && (*object)->creator == store->client_number()) return Status::OK();
  return {StatusCode::PlasmaObjectNotFound, StrCat("this client holds no object ", object_id.hex())};
}

ObjectView PlasmaClient::GetView(const ObjectID& object_id, int64_t timeout_ms) {
  ObjectView out;
  const auto store = impl_->Store();
  if (!store) {
    out.status_ = ToStatus(store.error());
    return out;
  }
  auto view = impl_->WaitFor(*store, object_id, Deadline::AfterMs(timeout_ms));
  if (!view) {
    out.status_ = ToStatus(view.error());
    return out;
  }
  out.data_ = view->data();
  out.metadata_ = view->metadata();
  out.impl_ = std::make_unique<ObjectView::Impl>();
  out.impl_->view = *std::move(view);
  return out;
}

Status PlasmaClient::Contains(const ObjectID& object_id, bool* has_object) {
  const auto store = impl_->Store();
  if (!store) return ToStatus(store.error());
  const auto contains = (*store)->Contains(FromPublic(object_id));
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
  const auto store = impl_->Store();
  if (!store) return "plasma client: not connected";
  const auto listed = (*store)->List();
  if (!listed) return ToStatus(listed.error()).ToString();
  uint64_t sealed = 0, bytes = 0;
  for (const client::ObjectInfo& info : *listed) {
    sealed += info.sealed ? 1 : 0;
    bytes += info.data_bytes + info.metadata_bytes;
  }
  const raylet::MutexLock lock(impl_->mutex_);
  return StrCat("plasma client ", (*store)->client_number(), " of the store at ", (*store)->socket_path(), ": ",
                raylet::FormatBytes(bytes), " of ", raylet::FormatBytes((*store)->capacity_bytes()), " in ",
                listed->size(), " objects, ", sealed, " sealed; this client writes ", impl_->unsealed_.size(),
                " and holds ", impl_->held_.size());
}

int64_t PlasmaClient::store_capacity() {
  const auto store = impl_->Store();
  return store ? static_cast<int64_t>((*store)->capacity_bytes()) : 0;
}

}  // namespace plasma
