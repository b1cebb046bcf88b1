// SpillDisk: where the Spiller's objects go: the door to the disk. The threads of SpillThreads stand behind it, and in
// tests a disk that fails on purpose.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "fbs/ids.h"
#include "fbs/segment_layout.h"

namespace raylet::store {

class SpillDisk {
 public:
  // An object, and the run of the arena that has its bytes, or gets them.
  struct Part {
    ObjectId id;
    uint64_t data_bytes = 0;
    uint32_t metadata_bytes = 0;
    uint64_t offset = 0;
  };
  struct FoundFile {
    uint64_t file = 0;
    uint64_t bytes = 0;
  };
  // Loop thread.
  class Handler {
   public:
    virtual ~Handler() = default;
    // After Write and Copy: the bytes of the file. After an error there is no file.
    virtual void OnWritten(uint64_t file, const Result<uint64_t>& bytes) = 0;
    // kNotFound, kProtocolError: the object is lost. Another error may pass.
    virtual void OnRead(uint64_t read, const Result<void>& outcome) = 0;
  };

  virtual ~SpillDisk() = default;
  virtual void SetHandler(Handler* handler) = 0;  // null: nothing is told any more
  // Each returns at once. The parts' memory stays as it is until OnWritten or OnRead. `replaced` are files in which
  // nobody is. They go first, and the new file takes what the first of them has on the disk.
  virtual void Write(uint64_t file, std::vector<Part> parts, std::vector<uint64_t> replaced) = 0;  // one row for each
  // Makes a file of these rows of another file.
  virtual void Copy(uint64_t from, std::vector<uint32_t> rows, uint64_t file, std::vector<uint64_t> replaced) = 0;
  virtual void Read(uint64_t read, const DiskPlace& place, const Part& into) = 0;  // looks at the checksum
  virtual void Remove(uint64_t file) = 0;                                          // of files in which nobody is
};

}  // namespace raylet::store
