// Buffer: bytes that somebody else keeps alive. Its owner is a std::shared_ptr; what Get returns releases the object
// when the last buffer of it goes, and slices keep their parent alive. Any thread may read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <plasma/export.h>

namespace plasma {

class RAYLET_API Buffer {
 public:
  // Does not own the bytes.
  Buffer(const uint8_t* data, int64_t size) : data_(data), size_(size) {}
  // `size` bytes of parent from `offset` on. They must lie inside.
  Buffer(std::shared_ptr<Buffer> parent, int64_t offset, int64_t size);
  virtual ~Buffer();
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  const uint8_t* data() const { return data_; }
  uint8_t* mutable_data() { return mutable_data_; }  // nullptr for bytes of a sealed object
  bool is_mutable() const { return mutable_data_ != nullptr; }
  int64_t size() const { return size_; }
  uint8_t operator[](int64_t i) const { return data_[i]; }
  bool Equals(const Buffer& other) const;
  std::string ToString() const { return {reinterpret_cast<const char*>(data_), static_cast<size_t>(size_)}; }

 protected:
  const uint8_t* data_;
  uint8_t* mutable_data_ = nullptr;
  int64_t size_;

 private:
  std::shared_ptr<Buffer> parent_;  // of a slice
};

class RAYLET_API MutableBuffer : public Buffer {
 public:
  MutableBuffer(uint8_t* data, int64_t size) : Buffer(data, size) { mutable_data_ = data; }
  ~MutableBuffer() override;
};

inline std::shared_ptr<Buffer> SliceBuffer(std::shared_ptr<Buffer> buffer, int64_t offset, int64_t length) {
  return std::make_shared<Buffer>(std::move(buffer), offset, length);
}
inline std::shared_ptr<Buffer> SliceBuffer(std::shared_ptr<Buffer> buffer, int64_t offset) {
  const int64_t length = buffer->size() - offset;
  return std::make_shared<Buffer>(std::move(buffer), offset, length);
}

// One object as Get returns it. data is null for an object that was not there in time.
struct ObjectBuffer {
  std::shared_ptr<Buffer> data;
  std::shared_ptr<Buffer> metadata;
  int device_num = 0;  // the machine's memory, the only device
};

}  // namespace plasma
