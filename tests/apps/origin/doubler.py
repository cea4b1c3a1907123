from pyproc_worker import expose, run_worker


@expose
def predict(req):
    return {"result": req["value"] * 2}


if __name__ == "__main__":
    run_worker()
