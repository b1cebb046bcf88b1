// Gauge, Counter, Sum and Histogram: numbers that a program, its tasks and its actors record, for Prometheus. Each
// process reports to the raylet of its machine about twice a second, and at ray::Shutdown. The raylet adds up what its
// processes report, and serves it as ray_<name> at /metrics of its --metrics-port. What is recorded before ray::Init is
// reported after it. In local mode nobody serves it. Any thread.
//
//   ray::Counter steps("steps", "steps of training", "1", {"rank"});
//   steps.Inc(1, {{"rank", "0"}});
#pragma once

#include <ray/internal/abi.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <ray/internal/export.h>

namespace ray {

namespace internal {
struct MetricDefinition;
}

// Two objects of one name are one metric. Throws RayException where the name is empty, or is that of another kind of
// metric in this process.
class RAYLET_API Metric {
 public:
  using Tags = std::unordered_map<std::string, std::string>;

  virtual ~Metric() = 0;
  const std::string& GetName() const;
  // What Set, Inc or Observe of the kind does. A series is one set of tags; keys besides those of the constructor may
  // be used.
  void Record(double value, const Tags& tags = {});

 protected:
  explicit Metric(const internal::MetricDefinition& definition);

 private:
  std::shared_ptr<const internal::MetricDefinition> definition_;
};

// The last value that any process has set.
class RAYLET_API Gauge : public Metric {
 public:
  Gauge(const std::string& name, const std::string& description, const std::string& unit,
        const std::vector<std::string>& tag_keys = {});
  ~Gauge() override;
  void Set(double value, const Tags& tags = {}) { Record(value, tags); }
};

// A sum that only grows. A negative value is a RayException.
class RAYLET_API Counter : public Metric {
 public:
  Counter(const std::string& name, const std::string& description, const std::string& unit,
          const std::vector<std::string>& tag_keys = {});
  ~Counter() override;
  void Inc(double value = 1, const Tags& tags = {}) { Record(value, tags); }
};

// A sum that may fall.
class RAYLET_API Sum : public Metric {
 public:
  Sum(const std::string& name, const std::string& description, const std::string& unit,
      const std::vector<std::string>& tag_keys = {});
  ~Sum() override;
};

// How many values lie in each bucket. `boundaries`: their upper bounds, from low to high, 100 at most.
class RAYLET_API Histogram : public Metric {
 public:
  Histogram(const std::string& name, const std::string& description, const std::string& unit,
            const std::vector<double>& boundaries, const std::vector<std::string>& tag_keys = {});
  ~Histogram() override;
  void Observe(double value, const Tags& tags = {}) { Record(value, tags); }
};

}  // namespace ray
