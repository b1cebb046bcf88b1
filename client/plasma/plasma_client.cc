#include <errno.h>
#include <time.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/strings.h"
#include "client/plasma/plasma_client_impl.h"
#include "client/plasma/plasma_views.h"

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

}  // namespace

PlasmaClient::PlasmaClient() : impl_(new Impl, Impl::End) {}
PlasmaClient::~PlasmaClient() = default;
PlasmaClient::PlasmaClient(const PlasmaClient& other) = default;
PlasmaClient& PlasmaClient::operator=(const PlasmaClient& other) = default;

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
      const bool first = impl_->connection_.Set(std::make_shared<PlasmaConnection>(*std::move(store)));
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

Status PlasmaClient::SetClientOptions(const std::string& client_name, int64_t output_memory_quota) {
  if (output_memory_quota < 0) return Status::Invalid(StrCat("a quota cannot be of ", output_memory_quota, " bytes"));
  const auto store = impl_->Store();
  if (!store) return ToStatus(store.error());
  return StatusOf((*store)->SetOptions(client_name, static_cast<uint64_t>(output_memory_quota)));
}

Status PlasmaClient::Disconnect() {
  if (impl_->InChild()) return ToStatus(Impl::Refuse().value());
  impl_->Disconnect();
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
  auto writer = (*connection)
                    ->store->Create(FromPublic(object_id), static_cast<uint64_t>(data_size),
                                    std::as_bytes(std::span(metadata, static_cast<size_t>(metadata_size))), options);
  if (!writer) return ToStatus(writer.error());
  *data = (*connection)->BeginWriting(object_id, *std::move(writer));
  return Status::OK();
}

Status PlasmaClient::Seal(const ObjectID& object_id) {
  const auto connection = impl_->Connected();
  if (!connection) return ToStatus(connection.error());
  const auto unsealed = (*connection)->TakeUnsealed(object_id, /*only_unheld=*/false);
  if (!unsealed) return Impl::StatusOfTake(unsealed.error());
  Creation& creation = **unsealed;
  // Until a Release, also one that comes meanwhile: the view goes with the hold.
  if (!(*connection)->held.HoldsCreation(FromPublic(object_id), &creation))
    return StatusOf(std::move(creation.writer).Seal());
  auto view = std::move(creation.writer).SealAndView();
  if (!view) return ToStatus(view.error());
  creation.view = *std::move(view);
  return Status::OK();
}

Status PlasmaClient::Abort(const ObjectID& object_id) {
  const auto connection = impl_->Connected();
  if (!connection) return ToStatus(connection.error());
  const auto unsealed = (*connection)->TakeUnsealed(object_id, /*only_unheld=*/true);
  if (!unsealed) return Impl::StatusOfTake(unsealed.error());
  (*connection)->held.ReleaseCreation(FromPublic(object_id), unsealed->get());
  return StatusOf(std::move((*unsealed)->writer).Abort());
}

Status PlasmaClient::CreateAndSeal(const ObjectID& object_id, const std::string& data, const std::string& metadata,
                                   bool evict_if_full) {
  const auto store = impl_->Store();
  if (!store) return ToStatus(store.error());
  client::CreateOptions options;
  options.evict_if_full = evict_if_full;
  return StatusOf((*store)->CreateAndSeal(FromPublic(object_id), AsBytes(data), AsBytes(metadata), options));
}

Status PlasmaClient::CreateAndSealAsync(const ObjectID& object_id, const std::string& data, const std::string& metadata,
                                        bool evict_if_full) {
  const auto store = impl_->Store();
  if (!store) return ToStatus(store.error());
  client::CreateOptions options;
  options.evict_if_full = evict_if_full;
  return StatusOf((*store)->CreateAndSealAsync(FromPublic(object_id), AsBytes(data), AsBytes(metadata), options));
}

Status PlasmaClient::Flush(int64_t timeout_ms) {
  const auto store = impl_->Store();
  if (!store) return ToStatus(store.error());
  return StatusOf((*store)->AwaitPuts(Deadline::AfterMs(timeout_ms)));
}

Status PlasmaClient::CreateAndSealBatch(const std::vector<ObjectID>& object_ids, const std::vector<std::string>& data,
                                        const std::vector<std::string>& metadata, bool evict_if_full) {
  if (data.size() != object_ids.size() || metadata.size() != object_ids.size())
    return Status::Invalid(StrCat("a batch of ", object_ids.size(), " ids came with ", data.size(), " data and ",
                                  metadata.size(), " metadata"));
  const auto store = impl_->Store();
  if (!store) return ToStatus(store.error());
  std::vector<client::BatchObject> objects;
  objects.reserve(object_ids.size());
  for (size_t i = 0; i < object_ids.size(); ++i)
    objects.push_back({FromPublic(object_ids[i]), AsBytes(data[i]), AsBytes(metadata[i])});
  client::CreateOptions options;
  options.evict_if_full = evict_if_full;
  return StatusOf((*store)->CreateAndSealBatch(objects, options));
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
  const auto hold = [&](PlasmaConnection& connection, size_t i, client::PinnedObject view) {
    object_buffers[i] = PlainBuffers(view);
    connection.held.Add(FromPublic(ids[i]), std::move(view));
  };
  if (ids.size() == 1) {  // the most frequent case, with as few steps as may be
    const auto held = impl_->WithConnection([&](PlasmaConnection& connection) -> Result<bool> {
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
  return StatusOf(impl_->WithConnection([&](PlasmaConnection& connection) -> Result<void> {
    for (size_t i = 0; i < ids.size(); ++i) {
      object_buffers[i] = ObjectBuffer();
      if (views[i]) hold(connection, i, std::move(views[i]));
    }
    return {};
  }));
}

Status PlasmaClient::Release(const ObjectID& object_id) {
  const auto released = impl_->WithConnection(
      [&](PlasmaConnection& connection) -> Result<bool> { return connection.held.Release(FromPublic(object_id)); });
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
  auto here = impl_->WithConnection([&](PlasmaConnection& connection) { return connection.store->TryGet(id); });
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
      [&](PlasmaConnection& connection) { return connection.store->Contains(FromPublic(object_id)); });
  if (contains) *has_object = *contains;
  return StatusOf(contains);
}

Status PlasmaClient::Delete(const ObjectID& object_id) { return Delete(std::vector<ObjectID>{object_id}); }

Status PlasmaClient::Delete(const std::vector<ObjectID>& object_ids) {
  const auto store = impl_->Store();
  if (!store) return ToStatus(store.error());
  std::vector<raylet::ObjectId> ids;
  ids.reserve(object_ids.size());
  for (const ObjectID& id : object_ids) ids.push_back(FromPublic(id));
  const auto codes = (*store)->DeleteAtLastRelease(ids);
  if (!codes) return ToStatus(codes.error());
  for (size_t i = 0; i < ids.size(); ++i) {
    const ErrorCode code = (*codes)[i];
    if (code == ErrorCode::kOk || code == ErrorCode::kNotFound) continue;
    return ToStatus({code, StrCat("object ", ids[i].hex(), " cannot be deleted: ", raylet::ErrorCodeName(code))});
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

int64_t PlasmaClient::store_capacity() {
  const auto store = impl_->Store();
  return store ? static_cast<int64_t>((*store)->capacity_bytes()) : 0;
}

}  // namespace plasma
