// ObjectRef<T>: a reference to a value that a task, an actor or Put makes. Copies count: when the last one of this
// process goes, the value's memory is freed. Thread-safe as a std::shared_ptr is.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <ray/api/msgpack.h>

#include <ray/api/exceptions.h>
#include <ray/api/serializer.h>
#include <ray/internal/runtime.h>
#include <ray/internal/small_blocks.h>

namespace ray {

template <class T>
class ObjectRef;

namespace internal {

// Non-null, or a RayException that says that the reference refers to nothing.
RAYLET_API const ObjectHandle& Require(const ObjectHandle& handle);
RAYLET_API std::string IdOfHandle(const ObjectHandle& handle);  // empty for null
RAYLET_API bool SameObject(const ObjectHandle& a, const ObjectHandle& b);

// The id that an extension of this kind holds; a RayException for anything else.
inline std::string_view ExtensionBody(const msgpack::object& object, int8_t kind, const std::type_info& type) {
  if (object.type != msgpack::type::EXT || object.via.ext.type() != kind)
    ThrowCannotRead(type, 0, "they hold a value of another type");
  return std::string_view(object.via.ext.data(), object.via.ext.size);
}

template <class Packer>
void PackExtension(Packer& packer, int8_t kind, std::string_view body) {
  packer.pack_ext(body.size(), kind);
  packer.pack_ext_body(body.data(), static_cast<uint32_t>(body.size()));
}

// The id of what an Array or a RecordBatch keeps in the store; nil where it keeps nothing.
template <class Packer>
void PackStorage(Packer& packer, const std::shared_ptr<ArrayStorage>& storage) {
  if (storage == nullptr) {
    packer.pack_nil();
    return;
  }
  char id[kIdBytes];
  CurrentRuntime().PackArray(storage, id);
  PackExtension(packer, kExtArray, std::string_view(id, kIdBytes));
}

// The common part of ObjectRef<T> and ObjectRef<void>.
class ObjectRefBase {
 public:
  static bool IsObjectRef() { return true; }

  // 20 bytes. They may travel by any means: ObjectRef(id) in another process waits for the value, and finds it while
  // this process keeps a reference.
  std::string ID() const { return IdOfHandle(handle_); }
  const ObjectHandle& handle() const { return handle_; }

  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    if (handle_ == nullptr) {
      packer.pack_nil();
      return;
    }
    char id[kIdBytes];
    CurrentRuntime().PackReference(handle_, id);
    PackExtension(packer, kExtReference, std::string_view(id, kIdBytes));
  }
  void msgpack_unpack(const msgpack::object& object) {
    if (object.is_nil())
      handle_ = nullptr;
    else
      UnpackExtension(ExtensionBody(object, kExtension, typeid(*this)));
  }
  static constexpr int8_t kExtension = kExtReference;
  void UnpackExtension(std::string_view id) { handle_ = CurrentRuntime().UnpackReference(id); }

 protected:
  ObjectRefBase() = default;
  explicit ObjectRefBase(ObjectHandle handle) : handle_(std::move(handle)) {}
  explicit ObjectRefBase(const std::string& id) : handle_(id.empty() ? nullptr : CurrentRuntime().FindObject(id)) {}

 private:
  ObjectHandle handle_;
};

template <class T>
std::shared_ptr<T> MakeValue(const PackedView& view) {
  return std::allocate_shared<T>(BlockAllocator<T>(), UnpackValue<T>(view));
}
template <class T>
std::shared_ptr<T> GetObject(const ObjectHandle& handle, int64_t timeout_ms) {
  return MakeValue<T>(CurrentRuntime().Get(Require(handle), timeout_ms));
}

}  // namespace internal

template <class T>
class ObjectRef : public internal::ObjectRefBase {
 public:
  ObjectRef() = default;
  // The object with this id, as ID() gives it. It is kept from here on: this asks its owner and waits for the answer.
  // Get throws UnreconstructableException where nobody kept it until now. RayTimeoutException: the owner is stopped.
  ObjectRef(const std::string& id) : ObjectRefBase(id) {}  // NOLINT(google-explicit-constructor)
  explicit ObjectRef(internal::ObjectHandle handle) : ObjectRefBase(std::move(handle)) {}

  // Waits until the value is there: for ever, or RayTimeoutException.
  std::shared_ptr<T> Get() const { return internal::GetObject<T>(handle(), -1); }
  std::shared_ptr<T> Get(int timeout_ms) const { return internal::GetObject<T>(handle(), timeout_ms); }

  friend bool operator==(const ObjectRef& a, const ObjectRef& b) {
    return internal::SameObject(a.handle(), b.handle());
  }
};

// The end of a task that returns nothing.
template <>
class ObjectRef<void> : public internal::ObjectRefBase {
 public:
  ObjectRef() = default;
  ObjectRef(const std::string& id) : ObjectRefBase(id) {}  // NOLINT(google-explicit-constructor)
  explicit ObjectRef(internal::ObjectHandle handle) : ObjectRefBase(std::move(handle)) {}

  void Get() const { internal::CurrentRuntime().Get(internal::Require(handle()), -1); }
  void Get(int timeout_ms) const { internal::CurrentRuntime().Get(internal::Require(handle()), timeout_ms); }

  friend bool operator==(const ObjectRef& a, const ObjectRef& b) {
    return internal::SameObject(a.handle(), b.handle());
  }
};

namespace internal {
template <class T>
struct ObjectRefTraits {
  static constexpr bool kIs = false;
};
template <class T>
struct ObjectRefTraits<ObjectRef<T>> {
  static constexpr bool kIs = true;
  using Value = T;
};
}  // namespace internal

}  // namespace ray

#if defined(__GLIBCXX__) && !defined(_GLIBCXX_DEBUG)
// The nodes of a std::list of references, which is what Wait returns, are small blocks. The standard lets a program
// specialize its templates for types of its own. It must be known before the first such list, so it stands here.
namespace std {

template <class T>
class allocator<_List_node<ray::ObjectRef<T>>> : public ray::internal::BlockAllocator<_List_node<ray::ObjectRef<T>>> {
 public:
  using size_type = size_t;
  using difference_type = ptrdiff_t;
  using propagate_on_container_move_assignment = true_type;
  using is_always_equal = true_type;
  allocator() = default;
  template <class U>
  allocator(const allocator<U>&) noexcept {}  // NOLINT(google-explicit-constructor)
};

}  // namespace std
#endif
