// DevicesTable: which part of each GPU is held. Pure; the raylet's loop thread. Always holds: what is held of a device
// is one whole at most. A holder of whole GPUs shares its devices with nobody. A holder of a fraction has one device.
// A ledger may have more free than any device has: fractions of several devices make no whole one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace raylet {

using DeviceIndexes = std::vector<uint32_t>;  // in ascending order

constexpr const char* kGpu = "GPU";
constexpr int64_t kGpusMax = 1024;  // of one machine

class DevicesTable {
 public:
  DevicesTable() = default;  // without devices
  explicit DevicesTable(int64_t devices);

  bool empty() const { return free_units_.empty(); }
  // `units` are a fraction of one GPU, or whole GPUs.
  bool Fits(int64_t units) const;
  // It fits. A fraction goes to the device with the least room that is enough, so that whole ones remain.
  DeviceIndexes Take(int64_t units);
  void Give(const DeviceIndexes& devices, int64_t units);  // as Take gave them
  int64_t WholeOnes() const;                               // devices that nobody holds any of
  int64_t MostOfOne() const;                               // the most units that one device has free

 private:
  size_t BestFor(int64_t fraction) const;  // the number of devices where none has room

  std::vector<int64_t> free_units_;  // by device
};

}  // namespace raylet
