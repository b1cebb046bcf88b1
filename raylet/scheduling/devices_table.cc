#include "raylet/scheduling/devices_table.h"

#include <algorithm>

#include "base/check.h"
#include "fbs/resource_units.h"

namespace raylet {

DevicesTable::DevicesTable(int64_t devices) {
  RAYLET_CHECK(devices >= 0 && devices <= kGpusMax, "a machine has ", devices, " GPUs");
  free_units_.assign(static_cast<size_t>(devices), kUnitsPerWhole);
}

int64_t DevicesTable::WholeOnes() const { return std::count(free_units_.begin(), free_units_.end(), kUnitsPerWhole); }

int64_t DevicesTable::MostOfOne() const {
  return free_units_.empty() ? 0 : *std::max_element(free_units_.begin(), free_units_.end());
}

bool DevicesTable::Fits(int64_t units) const {
  return units < kUnitsPerWhole ? units <= MostOfOne() : units <= WholeOnes() * kUnitsPerWhole;
}

size_t DevicesTable::BestFor(int64_t fraction) const {
  size_t best = free_units_.size();
  for (size_t i = 0; i < free_units_.size(); ++i)
    if (free_units_[i] >= fraction && (best == free_units_.size() || free_units_[i] < free_units_[best])) best = i;
  return best;
}

DeviceIndexes DevicesTable::Take(int64_t units) {
  RAYLET_CHECK(Fits(units), "GPUs are taken that are not free");
  DeviceIndexes taken;
  if (units < kUnitsPerWhole) {
    const size_t device = BestFor(units);
    free_units_[device] -= units;
    taken.push_back(static_cast<uint32_t>(device));
    return taken;
  }
  RAYLET_CHECK(units % kUnitsPerWhole == 0, "a task holds a GPU and a part of another one");
  const auto wanted = static_cast<size_t>(units / kUnitsPerWhole);
  for (size_t i = 0; taken.size() < wanted; ++i) {
    if (free_units_[i] != kUnitsPerWhole) continue;
    free_units_[i] = 0;
    taken.push_back(static_cast<uint32_t>(i));
  }
  return taken;
}

void DevicesTable::Give(const DeviceIndexes& devices, int64_t units) {
  const bool is_fraction = units < kUnitsPerWhole;
  RAYLET_CHECK(static_cast<int64_t>(devices.size()) == (is_fraction ? 1 : units / kUnitsPerWhole),
               "other GPUs come back than were taken");
  for (const uint32_t device : devices) {
    free_units_.at(device) += is_fraction ? units : kUnitsPerWhole;
    RAYLET_CHECK(free_units_[device] <= kUnitsPerWhole, "more of a GPU came back than was taken");
  }
}

}  // namespace raylet
