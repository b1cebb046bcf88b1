// Array<T>: an immutable n-dimensional view of memory in the store, row by row. The memory is pinned while an Array
// refers to it, and never copied. Copies of the Array share it. As an argument, a result or a part of a value only its
// 20-byte id travels. MutableArray<T>: the same memory before it is sealed: fill it in place, then move it into an
// Array. Reading an Array is thread-safe; a MutableArray belongs to one thread at a time.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include <ray/api/msgpack.h>

#include <ray/api/exceptions.h>
#include <ray/api/object_ref.h>
#include <ray/internal/dtype.h>
#include <ray/internal/runtime.h>

namespace ray {

constexpr size_t kArrayDimensionsMax = 8;

template <class T>
class Array;
template <class T>
class MutableArray;

namespace internal {

struct ArrayShape {
  std::array<size_t, kArrayDimensionsMax> sizes{};
  std::array<size_t, kArrayDimensionsMax> strides{};  // in elements
  size_t ndim = 0;
  size_t count = 0;  // elements in all
};

// Strides and count of these sizes; throws when no memory could hold such an array.
RAYLET_API ArrayShape MakeArrayShape(std::span<const size_t> sizes, size_t element_bytes);
// The header kept in the store beside the array: 'A', dtype, ndim, 0, then ndim sizes of 8 bytes, little endian.
RAYLET_API std::string EncodeArrayHeader(const ArrayShape& shape, Dtype dtype);
// Throws unless the storage holds an array of exactly this dtype and as many bytes as its shape says.
RAYLET_API ArrayShape DecodeArrayHeader(const ArrayStorage& storage, Dtype dtype, size_t element_bytes);
RAYLET_API std::shared_ptr<ArrayStorage> UnpackArrayStorage(std::string_view id);
RAYLET_API std::shared_ptr<ArrayStorage> AllocateArrayStorage(const ArrayShape& shape, Dtype dtype,
                                                              size_t element_bytes);
// The element's offset. Throws unless there are as many indices as dimensions, each within its dimension.
RAYLET_API size_t ArrayOffset(const ArrayShape& shape, std::span<const size_t> indices);
[[noreturn]] RAYLET_API void ThrowNoArray();

template <class T>
concept ArrayElement = DtypeOf<T>()
!= Dtype::kNone;

}  // namespace internal

template <class T>
class Array {
  static_assert(internal::ArrayElement<T>, "an array's elements are bool, integers of up to 64 bits, float or double");

 public:
  using value_type = T;
  using const_iterator = const T*;
  using iterator = const_iterator;

  Array() = default;  // no memory, no elements

  // A new array with these values, in one dimension.
  static Array CopyOf(std::span<const T> values) {
    MutableArray<T> array(values.size());
    if (!values.empty()) std::memcpy(array.data(), values.data(), values.size_bytes());
    return std::move(array).Seal();
  }

  const T* data() const noexcept { return data_; }  // 64-byte aligned
  size_t size() const noexcept { return shape_.count; }
  size_t size_bytes() const noexcept { return shape_.count * sizeof(T); }
  bool empty() const noexcept { return size() == 0; }
  size_t ndim() const noexcept { return shape_.ndim; }
  std::span<const size_t> shape() const noexcept { return {shape_.sizes.data(), shape_.ndim}; }
  std::span<const size_t> strides() const noexcept { return {shape_.strides.data(), shape_.ndim}; }  // in elements

  std::span<const T> span() const noexcept { return {data_, size()}; }
  const_iterator begin() const noexcept { return data_; }
  const_iterator end() const noexcept { return data_ + size(); }
  const T& operator[](size_t i) const noexcept { return data_[i]; }  // row by row; not checked

  // One index per dimension; RayException outside the bounds.
  template <std::integral... Indices>
  const T& at(Indices... indices) const {
    const std::array<size_t, sizeof...(Indices)> list{static_cast<size_t>(indices)...};
    return data_[internal::ArrayOffset(shape_, list)];
  }

  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    if (storage_ == nullptr) {
      packer.pack_nil();
      return;
    }
    char id[internal::kIdBytes];
    internal::CurrentRuntime().PackArray(storage_, id);
    internal::PackExtension(packer, internal::kExtArray, std::string_view(id, internal::kIdBytes));
  }
  void msgpack_unpack(const msgpack::object& object) {
    if (object.is_nil())
      *this = Array();
    else
      UnpackExtension(internal::ExtensionBody(object, kExtension, typeid(Array<T>)));
  }
  static constexpr int8_t kExtension = internal::kExtArray;
  void UnpackExtension(std::string_view id) { *this = Array(internal::UnpackArrayStorage(id)); }

 private:
  friend class MutableArray<T>;

  explicit Array(std::shared_ptr<internal::ArrayStorage> storage)
      : storage_(std::move(storage)),
        shape_(internal::DecodeArrayHeader(*storage_, internal::DtypeOf<T>(), sizeof(T))),
        data_(static_cast<const T*>(storage_->data())) {}

  std::shared_ptr<internal::ArrayStorage> storage_;
  internal::ArrayShape shape_;
  const T* data_ = nullptr;
};

template <class T>
class MutableArray {
  static_assert(internal::ArrayElement<T>, "an array's elements are bool, integers of up to 64 bits, float or double");

 public:
  using value_type = T;
  using iterator = T*;

  // MutableArray<float>(rows, columns): allocated in the store; what it holds before it is written is unspecified.
  template <std::integral... Sizes>
  requires(sizeof...(Sizes) > 0) explicit MutableArray(Sizes... sizes)
      : MutableArray(std::span<const size_t>(std::array<size_t, sizeof...(Sizes)>{static_cast<size_t>(sizes)...})) {}
  // Of a shape known at run time, such as that of another array.
  explicit MutableArray(std::span<const size_t> sizes)
      : shape_(internal::MakeArrayShape(sizes, sizeof(T))),
        storage_(internal::AllocateArrayStorage(shape_, internal::DtypeOf<T>(), sizeof(T))),
        data_(static_cast<T*>(storage_->mutable_data())) {}

  MutableArray(MutableArray&& other) noexcept
      : shape_(std::exchange(other.shape_, {})),
        storage_(std::move(other.storage_)),
        data_(std::exchange(other.data_, nullptr)) {}
  MutableArray& operator=(MutableArray&& other) noexcept {
    shape_ = std::exchange(other.shape_, {});
    storage_ = std::move(other.storage_);
    data_ = std::exchange(other.data_, nullptr);
    return *this;
  }

  T* data() noexcept { return data_; }
  const T* data() const noexcept { return data_; }
  size_t size() const noexcept { return shape_.count; }
  size_t ndim() const noexcept { return shape_.ndim; }
  std::span<const size_t> shape() const noexcept { return {shape_.sizes.data(), shape_.ndim}; }
  std::span<const size_t> strides() const noexcept { return {shape_.strides.data(), shape_.ndim}; }  // in elements

  std::span<T> span() noexcept { return {data_, size()}; }
  iterator begin() noexcept { return data_; }
  iterator end() noexcept { return data_ + size(); }
  T& operator[](size_t i) noexcept { return data_[i]; }
  template <std::integral... Indices>
  T& at(Indices... indices) {
    const std::array<size_t, sizeof...(Indices)> list{static_cast<size_t>(indices)...};
    return data_[internal::ArrayOffset(shape_, list)];
  }

  // From here on everybody may read the memory and nobody may write it. This MutableArray has no memory any more.
  Array<T> Seal() && {
    if (storage_ == nullptr) internal::ThrowNoArray();
    shape_ = {};
    data_ = nullptr;
    const auto storage = std::exchange(storage_, nullptr);
    storage->Seal();
    return Array<T>(storage);
  }
  // Moving into an Array seals: as an argument, or as the result of a function that returns an Array.
  operator Array<T>() && { return std::move(*this).Seal(); }  // NOLINT(google-explicit-constructor)

 private:
  internal::ArrayShape shape_;
  std::shared_ptr<internal::ArrayStorage> storage_;
  T* data_ = nullptr;
};

}  // namespace ray
