// Buffer: bytes that somebody else keeps alive. Its owner is a std::shared_ptr; what Get returns releases the object
// when the last buffer of it goes, and slices keep their parent alive. Any thread may read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <plasma/export.h>

namespace plasma {

class RAYLET_API Buffer {
 public:
  // Does not own the bytes.
  Buffer(const uint8_t* data, int64_t size) : data_(data), size_(size) {}
  explicit Buffer(std::string_view bytes)
      : Buffer(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int64_t>(bytes.size())) {}
  // `size` bytes of parent from `offset` on. They must lie inside. Read-only.
  Buffer(std::shared_ptr<Buffer> parent, int64_t offset, int64_t size);
  virtual ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  // Owns the text.
  static std::shared_ptr<Buffer> FromString(std::string text);
  // Of values that somebody else keeps alive.
  template <class T, class Size = int64_t>
  static std::shared_ptr<Buffer> Wrap(const T* values, Size count) {
    return std::make_shared<Buffer>(reinterpret_cast<const uint8_t*>(values), static_cast<int64_t>(sizeof(T) * count));
  }
  template <class T>
  static std::shared_ptr<Buffer> Wrap(const std::vector<T>& values) {
    return Wrap(values.data(), values.size());
  }

  const uint8_t* data() const { return data_; }
  uint8_t* mutable_data() { return is_mutable_ ? const_cast<uint8_t*>(data_) : nullptr; }  // null: of a sealed object
  uintptr_t address() const { return reinterpret_cast<uintptr_t>(data_); }
  uintptr_t mutable_address() const { return is_mutable_ ? address() : 0; }
  bool is_mutable() const { return is_mutable_; }
  bool is_cpu() const { return true; }  // always the machine's memory
  int64_t size() const { return size_; }
  int64_t capacity() const { return size_; }
  std::shared_ptr<Buffer> parent() const { return parent_; }  // of a slice
  uint8_t operator[](size_t i) const { return data_[i]; }

  bool Equals(const Buffer& other) const;
  bool Equals(const Buffer& other, int64_t first_bytes) const;  // both have them, and they are the same
  std::string ToString() const { return {reinterpret_cast<const char*>(data_), static_cast<size_t>(size_)}; }
  std::string ToHexString() const;
  explicit operator std::string_view() const {
    return {reinterpret_cast<const char*>(data_), static_cast<size_t>(size_)};
  }

 protected:
  bool is_mutable_ = false;
  const uint8_t* data_;
  int64_t size_;
  std::shared_ptr<Buffer> parent_;
};

class RAYLET_API MutableBuffer : public Buffer {
 public:
  MutableBuffer(uint8_t* data, int64_t size) : Buffer(data, size) { is_mutable_ = true; }
  // A slice; read-only where the parent is.
  MutableBuffer(std::shared_ptr<Buffer> parent, int64_t offset, int64_t size);
  ~MutableBuffer() override;

  template <class T, class Size = int64_t>
  static std::shared_ptr<Buffer> Wrap(T* values, Size count) {
    return std::make_shared<MutableBuffer>(reinterpret_cast<uint8_t*>(values), static_cast<int64_t>(sizeof(T) * count));
  }
};

inline std::shared_ptr<Buffer> SliceBuffer(std::shared_ptr<Buffer> buffer, int64_t offset, int64_t length) {
  return std::make_shared<Buffer>(std::move(buffer), offset, length);
}
inline std::shared_ptr<Buffer> SliceBuffer(std::shared_ptr<Buffer> buffer, int64_t offset) {
  const int64_t length = buffer->size() - offset;
  return std::make_shared<Buffer>(std::move(buffer), offset, length);
}
inline std::shared_ptr<Buffer> SliceMutableBuffer(std::shared_ptr<Buffer> buffer, int64_t offset, int64_t length) {
  return std::make_shared<MutableBuffer>(std::move(buffer), offset, length);
}
inline std::shared_ptr<Buffer> SliceMutableBuffer(std::shared_ptr<Buffer> buffer, int64_t offset) {
  const int64_t length = buffer->size() - offset;
  return std::make_shared<MutableBuffer>(std::move(buffer), offset, length);
}

// One object as Get returns it. data is null for an object that was not there in time.
struct ObjectBuffer {
  std::shared_ptr<Buffer> data;
  std::shared_ptr<Buffer> metadata;
  int device_num = 0;  // the machine's memory, the only device
};

}  // namespace plasma
