// Chart: lines or bars over two axes, written as a picture (SVG) and as numbers (CSV), with no further package.
// Functions of their arguments alone. A file that cannot be written is a std::runtime_error with its name.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace example {

struct Line {
  std::string name;
  std::vector<std::pair<double, double>> points;  // x grows
};

struct Chart {
  std::string title;
  std::string x;  // what the axis shows, with its unit
  std::string y;
  std::vector<Line> lines;
  bool bars = false;  // a bar for each point
};

std::string SvgOf(const Chart& chart);
// A row for each point: the chart's title, the line's name, x, y. The first row has their names.
std::string CsvOf(const std::vector<Chart>& charts);

// `stem`.csv has all charts. `stem`.svg has the first one, and `stem`-2.svg and so on the others.
void WriteCharts(const std::string& stem, const std::vector<Chart>& charts);

}  // namespace example
