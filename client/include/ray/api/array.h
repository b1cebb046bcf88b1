// Array<T>: an immutable n-dimensional view of memory in the store, row by row. The memory is pinned while an Array
// refers to it, and never copied. Copies of the Array share it. As an argument, a result or a part of a value only its
// 20-byte id travels. MutableArray<T>: the same memory before it is sealed: fill it in place, then move it into an
// Array. Reading an Array is thread-safe; a MutableArray belongs to one thread at a time.
// In the store each array is an Arrow IPC message of a tensor, so that other programs read it without a copy, too.
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

// The memory of an array: an Arrow message of a tensor.
struct ArrayMemory {
  std::shared_ptr<ArrayStorage> storage;
  size_t elements_at = 0;  // in the storage, 64-byte aligned
};

RAYLET_API ArrayMemory AllocateArray(const ArrayShape& shape, Dtype dtype);
// The memory of this id; throws unless it holds an array of exactly this dtype, and says of which shape.
RAYLET_API ArrayMemory OpenArray(std::string_view id, Dtype dtype, ArrayShape& shape);
RAYLET_API ArrayMemory OpenArray(std::shared_ptr<ArrayStorage> storage, Dtype dtype, ArrayShape& shape);
// The elements within the message; throws unless it is one of a tensor of exactly this dtype, and says of which shape.
RAYLET_API const void* ElementsOfTensor(std::span<const std::byte> message, Dtype dtype, ArrayShape& shape);
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
  // A new array of what an Arrow IPC message of a tensor holds, such as pyarrow.ipc.write_tensor writes. RayException
  // where it is none, or its elements are of another type, or do not lie row by row.
  static Array CopyOfTensorMessage(std::span<const std::byte> message) {
    internal::ArrayShape shape;
    const void* const elements = internal::ElementsOfTensor(message, internal::DtypeOf<T>(), shape);
    MutableArray<T> array(std::span<const size_t>(shape.sizes.data(), shape.ndim));
    if (shape.count != 0) std::memcpy(array.data(), elements, shape.count * sizeof(T));
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

  // The Arrow IPC message of a tensor that lies in the store, with the elements in place. pyarrow.ipc.read_tensor reads
  // it. It is 64-byte aligned, and valid while this array or a copy of it lives.
  std::span<const std::byte> tensor_message() const {
    if (storage_ == nullptr) return {};
    return {static_cast<const std::byte*>(storage_->data()), storage_->size_bytes()};
  }

  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    internal::PackStorage(packer, storage_);
  }
  void msgpack_unpack(const msgpack::object& object) {
    if (object.is_nil())
      *this = Array();
    else
      UnpackExtension(internal::ExtensionBody(object, kExtension, typeid(Array<T>)));
  }
  static constexpr int8_t kExtension = internal::kExtArray;
  void UnpackExtension(std::string_view id) {
    internal::ArrayShape shape;
    auto memory = internal::OpenArray(id, internal::DtypeOf<T>(), shape);
    *this = Array(std::move(memory), shape);
  }

 private:
  friend class MutableArray<T>;

  Array(internal::ArrayMemory memory, const internal::ArrayShape& shape)
      : storage_(std::move(memory.storage)),
        shape_(shape),
        data_(reinterpret_cast<const T*>(static_cast<const std::byte*>(storage_->data()) + memory.elements_at)) {}

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
        memory_(internal::AllocateArray(shape_, internal::DtypeOf<T>())),
        data_(reinterpret_cast<T*>(static_cast<std::byte*>(memory_.storage->mutable_data()) + memory_.elements_at)) {}

  MutableArray(MutableArray&& other) noexcept
      : shape_(std::exchange(other.shape_, {})),
        memory_(std::exchange(other.memory_, {})),
        data_(std::exchange(other.data_, nullptr)) {}
  MutableArray& operator=(MutableArray&& other) noexcept {
    shape_ = std::exchange(other.shape_, {});
    memory_ = std::exchange(other.memory_, {});
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
    if (memory_.storage == nullptr) internal::ThrowNoArray();
    const auto shape = std::exchange(shape_, {});
    auto memory = std::exchange(memory_, {});
    data_ = nullptr;
    memory.storage->Seal();
    return Array<T>(std::move(memory), shape);
  }
  // Moving into an Array seals: as an argument, or as the result of a function that returns an Array.
  operator Array<T>() && { return std::move(*this).Seal(); }  // NOLINT(google-explicit-constructor)

 private:
  internal::ArrayShape shape_;
  internal::ArrayMemory memory_;
  T* data_ = nullptr;
};

}  // namespace ray
