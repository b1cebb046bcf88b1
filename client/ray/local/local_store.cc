#include "client/ray/local/local_store.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "client/ray/api/user_exception.h"

namespace raylet::client {

using ray::internal::RayException;

namespace {

constexpr ProcessId kThisProcess = 1;  // ids need an owner that is not zero; there is no other process here

}  // namespace

// Pages of its own, so that a sealed array is read-only here as it is in the store.
class LocalArray : public ray::internal::ArrayStorage {
 public:
  LocalArray(std::shared_ptr<LocalStore> store, const ObjectId& id, size_t bytes)
      : ArrayStorage(store.get()), store_(std::move(store)), id_(id), bytes_(bytes) {
    memory_ = mmap(nullptr, MappedBytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) throw RayException(StrCat("there is no memory for an array of ", FormatBytes(bytes)));
  }
  ~LocalArray() override {
    store_->ForgetArray(id_);
    munmap(memory_, MappedBytes());
  }

  const void* data() const override { return memory_; }
  void* mutable_data() override { return sealed_ ? nullptr : memory_; }
  size_t size_bytes() const override { return bytes_; }
  void Seal() override {
    if (sealed_) throw RayException("this array is sealed already");
    mprotect(memory_, MappedBytes(), PROT_READ);
    sealed_ = true;
  }

  const ObjectId& id() const { return id_; }
  bool sealed() const { return sealed_; }

 private:
  size_t MappedBytes() const { return std::max<size_t>(bytes_, 1); }

  const std::shared_ptr<LocalStore> store_;
  const ObjectId id_;
  const size_t bytes_;
  void* memory_ = nullptr;
  bool sealed_ = false;  // set by the one thread that owns the MutableArray, before anybody else sees the array
};

void LocalFailure::Throw() const {
  switch (kind) {
    case Kind::kTaskThrew: throw ray::internal::RayTaskException(function, exception_type, thrown_what, details);
    case Kind::kActorDied: throw ray::internal::RayActorException(message, details);
    case Kind::kCancelled: throw ray::internal::RayTaskCancelledException(message, details);
    case Kind::kLost: break;
  }
  throw ray::internal::UnreconstructableException(message, details);
}

LocalFailurePtr FailureOfCurrentException(const std::string& function) {
  const ray::internal::ThrownDescription thrown = ray::internal::DescribeCurrentException();
  auto failure = std::make_shared<LocalFailure>();
  failure->function = function;
  failure->exception_type = thrown.type;
  failure->thrown_what = thrown.what;
  failure->details.may_have_run = true;
  return failure;
}

LocalFailurePtr ActorFailure(std::string message, bool may_have_run) {
  auto failure = std::make_shared<LocalFailure>();
  failure->kind = LocalFailure::Kind::kActorDied;
  failure->message = std::move(message);
  failure->details.may_have_run = may_have_run;
  failure->details.retry_safe = !may_have_run;
  failure->details.hint = "create the actor again, or give it SetMaxRestarts";
  return failure;
}

LocalFailurePtr CancelledFailure(const char* what) {
  auto failure = std::make_shared<LocalFailure>();
  failure->kind = LocalFailure::Kind::kCancelled;
  failure->message = StrCat("the ", what, " was cancelled by ray::Cancel");
  failure->details.may_have_run = true;
  return failure;
}

LocalObject::~LocalObject() { store_->ForgetObject(id_); }

LocalObjectPtr LocalStore::NewObject() {
  auto object = std::make_shared<LocalObject>(shared_from_this(), NewObjectId(kThisProcess, next_number_));
  const MutexLock lock(mutex_);
  objects_[object->id()] = object;
  return object;
}

LocalObjectPtr LocalStore::Find(std::string_view id) {
  if (id.size() != ObjectId::kSize)
    throw RayException(StrCat("the id of an object has ", ObjectId::kSize, " bytes, not ", id.size()));
  const ObjectId key = ObjectId::FromBinary(id);
  {
    const MutexLock lock(mutex_);
    if (const auto found = objects_.find(key); found != objects_.end())
      if (LocalObjectPtr object = found->second.lock(); object != nullptr) return object;
  }
  auto lost = std::make_shared<LocalFailure>();
  lost->kind = LocalFailure::Kind::kLost;
  lost->message = StrCat("there is no object ", key.hex(), ": the last reference to it is gone");
  LocalObjectPtr object = NewObject();
  Fail(object, std::move(lost));
  return object;
}

void LocalStore::Fulfil(const LocalObjectPtr& object, ray::internal::Packed value) {
  value.KeepRest();
  Finish(object, std::make_shared<const ray::internal::Packed>(std::move(value)), nullptr);
}

void LocalStore::Fail(const LocalObjectPtr& object, LocalFailurePtr failure) {
  Finish(object, nullptr, std::move(failure));
}

void LocalStore::Finish(const LocalObjectPtr& object, ValuePtr value, LocalFailurePtr failure) {
  std::vector<std::function<void()>> callbacks;
  {
    const MutexLock lock(mutex_);
    if (object->value_ != nullptr || object->failure_ != nullptr) return;
    object->value_ = std::move(value);
    object->failure_ = std::move(failure);
    callbacks.swap(object->when_ready_);
  }
  changed_.NotifyAll();
  for (const auto& callback : callbacks) callback();
}

LocalOutcome LocalStore::Outcome(const LocalObject& object) {
  const MutexLock lock(mutex_);
  return LocalOutcome{object.value_, object.failure_};
}

void LocalStore::WhenReady(const LocalObjectPtr& object, std::function<void()> callback) {
  {
    const MutexLock lock(mutex_);
    if (object->value_ == nullptr && object->failure_ == nullptr) {
      object->when_ready_.push_back(std::move(callback));
      return;
    }
  }
  callback();
}

size_t LocalStore::MarkReady(std::span<LocalObject* const> objects, size_t count, std::vector<bool>& ready) {
  ready.assign(objects.size(), false);  // an earlier one may have become ready
  size_t found = 0;
  for (size_t i = 0; i < objects.size() && found < count; ++i) {
    if (objects[i]->value_ == nullptr && objects[i]->failure_ == nullptr) continue;
    ready[i] = true;
    ++found;
  }
  return found;
}

std::vector<bool> LocalStore::Ready(std::span<LocalObject* const> objects, size_t count) {
  std::vector<bool> ready;
  const MutexLock lock(mutex_);
  MarkReady(objects, count, ready);
  return ready;
}

std::vector<bool> LocalStore::Wait(std::span<LocalObject* const> objects, size_t count, int64_t timeout_ms) {
  const Deadline deadline = Deadline::AfterMs(timeout_ms);
  std::vector<bool> ready;
  const MutexLock lock(mutex_);
  for (;;) {
    if (MarkReady(objects, count, ready) == count) return ready;
    if (stopped_) throw RayException("ray::Shutdown was called while this thread waited for an object");
    if (deadline.Passed()) return ready;
    changed_.Wait(mutex_, deadline);
  }
}

std::shared_ptr<ray::internal::ArrayStorage> LocalStore::NewArray(size_t bytes) {
  auto array = std::make_shared<LocalArray>(shared_from_this(), NewObjectId(kThisProcess, next_number_), bytes);
  const MutexLock lock(mutex_);
  arrays_[array->id()] = array;
  return array;
}

std::shared_ptr<ray::internal::ArrayStorage> LocalStore::FindArray(std::string_view id) {
  const ObjectId key = ObjectId::FromBinary(id);
  {
    const MutexLock lock(mutex_);
    if (const auto found = arrays_.find(key); found != arrays_.end())
      if (auto array = found->second.lock(); array != nullptr) return array;
  }
  throw ray::internal::UnreconstructableException(
      StrCat("there is no array ", key.hex(), ": the last reference to it is gone"));
}

void LocalStore::Stop() {
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
  }
  changed_.NotifyAll();
}

void LocalStore::ForgetObject(const ObjectId& id) {
  if (InChild()) return;
  const MutexLock lock(mutex_);
  objects_.erase(id);
}

void LocalStore::ForgetArray(const ObjectId& id) {
  if (InChild()) return;
  const MutexLock lock(mutex_);
  arrays_.erase(id);
}

LocalObject& AsObject(const LocalStore& store, const ray::internal::ObjectHandle& handle) {
  ray::internal::CheckSession(*handle, &store);
  return static_cast<LocalObject&>(*handle);
}
LocalObjectPtr ObjectOf(const LocalStore& store, const ray::internal::ObjectHandle& handle) {
  AsObject(store, handle);
  return std::static_pointer_cast<LocalObject>(handle);
}

const ObjectId& IdOfArray(const LocalStore& store, const ray::internal::ArrayStorage& array) {
  ray::internal::CheckSession(array, &store);
  const auto& local = static_cast<const LocalArray&>(array);
  if (!local.sealed()) throw RayException("only a sealed array can be passed on: move the MutableArray instead");
  return local.id();
}

}  // namespace raylet::client
